output "bucket" {
  value = local.bucket
}
