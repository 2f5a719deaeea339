output "name" {
  value = var.bucket
}

output "arn" {
  value = "arn:aws:s3:::${var.bucket}"
}
