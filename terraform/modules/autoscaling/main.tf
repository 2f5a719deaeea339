locals {
  namespace  = "Antiphon"
  dimensions = { region = var.region }
  resource   = "service/${var.cluster_name}/${var.service_name}"
  first      = var.steps[0].from_waiting
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = local.resource
  min_capacity       = var.min
  max_capacity       = var.max
}

# By what waits. What runs, or is pending with a worker, is not among it.
resource "aws_appautoscaling_policy" "backlog" {
  name               = "${var.name}-backlog"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    cooldown                = var.scale_out_cooldown_s
    metric_aggregation_type = "Maximum"

    # Bounds are counted from the alarm's threshold, the first step.
    dynamic "step_adjustment" {
      for_each = var.steps
      content {
        metric_interval_lower_bound = step_adjustment.value.from_waiting - local.first
        metric_interval_upper_bound = step_adjustment.key + 1 < length(var.steps) ? var.steps[step_adjustment.key + 1].from_waiting - local.first : null
        scaling_adjustment          = step_adjustment.value.add
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "backlog" {
  alarm_name          = "${var.name}-scale-by-backlog"
  alarm_description   = "Not a fault: it makes the pool grow."
  namespace           = local.namespace
  metric_name         = "antiphon_jobs_waiting"
  dimensions          = local.dimensions
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = local.first
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.backlog.arn]
}

# A pool at zero has no slots to be in use: a single waiting job wakes it, without a pause.
resource "aws_appautoscaling_policy" "wake" {
  count              = var.min == 0 ? 1 : 0
  name               = "${var.name}-wake"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  step_scaling_policy_configuration {
    adjustment_type         = "ExactCapacity"
    cooldown                = 0
    metric_aggregation_type = "Maximum"
    step_adjustment {
      metric_interval_lower_bound = 0
      scaling_adjustment          = 1
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "wake" {
  count               = var.min == 0 ? 1 : 0
  alarm_name          = "${var.name}-wake"
  alarm_description   = "Not a fault: it wakes the pool."
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.wake[0].arn]

  metric_query {
    id          = "asleep_with_work"
    expression  = "IF(FILL(workers, 0) < 1, waiting, 0)"
    return_data = true
  }
  metric_query {
    id = "waiting"
    metric {
      namespace   = local.namespace
      metric_name = "antiphon_jobs_waiting"
      dimensions  = local.dimensions
      stat        = "Maximum"
      period      = 60
    }
  }
  metric_query {
    id = "workers"
    metric {
      namespace   = "ECS/ContainerInsights"
      metric_name = "RunningTaskCount"
      dimensions  = { ClusterName = var.cluster_name, ServiceName = var.service_name }
      stat        = "Minimum"
      period      = 60
    }
  }
}

# By how busy the workers are; it alone shrinks a pool.
resource "aws_appautoscaling_policy" "target" {
  name               = "${var.name}-target"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.target_percent
    scale_out_cooldown = var.scale_out_cooldown_s
    scale_in_cooldown  = var.scale_in_cooldown_s
    disable_scale_in   = false

    customized_metric_specification {
      metrics {
        id          = "busy"
        label       = "Share of slots in use, %"
        expression  = "IF(workers > 0, 100 * running / (workers * ${var.concurrency}), 0)"
        return_data = true
      }
      metrics {
        id          = "running"
        return_data = false
        metric_stat {
          stat = "Average"
          metric {
            namespace   = local.namespace
            metric_name = "antiphon_jobs_running"
            dynamic "dimensions" {
              for_each = local.dimensions
              content {
                name  = dimensions.key
                value = dimensions.value
              }
            }
          }
        }
      }
      metrics {
        id          = "workers"
        return_data = false
        metric_stat {
          stat = "Average"
          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"
            dimensions {
              name  = "ClusterName"
              value = var.cluster_name
            }
            dimensions {
              name  = "ServiceName"
              value = var.service_name
            }
          }
        }
      }
    }
  }
}
