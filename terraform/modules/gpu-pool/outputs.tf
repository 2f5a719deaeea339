output "service_name" {
  value = aws_ecs_service.this.name
}

output "capacity_providers" {
  value = [for provider in aws_ecs_capacity_provider.this : provider.name]
}

output "group_names" {
  description = "Auto Scaling groups of the pool's instances."
  value       = concat([aws_autoscaling_group.mixed.name], aws_autoscaling_group.warm[*].name)
}

output "task_role_arn" {
  value = aws_iam_role.task.arn
}
