output "balancer_host" {
  description = "What the region's host name is a CNAME of."
  value       = aws_lb.this.dns_name
}

output "balancer_suffix" {
  value = aws_lb.this.arn_suffix
}

output "target_group_suffix" {
  value = aws_lb_target_group.api.arn_suffix
}
