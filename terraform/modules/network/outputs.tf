output "vpc_id" {
  value = aws_vpc.this.id
}

output "private_subnet_ids" {
  value = [for zone in local.zones : aws_subnet.private[zone].id]
}

output "public_subnet_ids" {
  value = [for zone in local.zones : aws_subnet.public[zone].id]
}

output "services_group_id" {
  value = aws_security_group.services.id
}

output "workers_group_id" {
  value = aws_security_group.workers.id
}

output "peering_ids" {
  description = "Links that this side asked for, by region id: the other side's apply accepts them."
  value       = { for id, link in aws_vpc_peering_connection.asked : id => link.id }
}
