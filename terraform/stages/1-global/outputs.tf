output "registry" {
  description = "Images are pushed here; each region pulls its own copy."
  value       = "${var.account_id}.dkr.ecr.${local.regions[var.primary].aws}.amazonaws.com"
}
