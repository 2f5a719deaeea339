output "arn" {
  value = aws_db_instance.this.arn
}

output "host" {
  value = aws_db_instance.this.address
}

output "hosts" {
  description = "Every server of this region, its own first."
  value       = concat([aws_db_instance.this.address], aws_db_instance.local_replica[*].address)
}

output "identifier" {
  value = aws_db_instance.this.identifier
}
