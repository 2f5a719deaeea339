output "host" {
  value = local.host
}

output "url" {
  description = "REDIS_URL of regions/config.ts."
  value       = "rediss://${local.memorydb ? "${var.name}-${local.user}" : local.user}:${var.password}@${local.host}:6379"
  sensitive   = true
}
