mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name         = "antiphon-eu-west-jobs"
  region       = "eu-west"
  cluster_name = "antiphon-eu-west"
  service_name = "antiphon-eu-west-jobs"
}

run "jobs" {
  assert {
    condition     = aws_appautoscaling_target.this.min_capacity == 5
    error_message = "five workers at least"
  }
  assert {
    condition     = aws_appautoscaling_target.this.max_capacity == 50
    error_message = "fifty workers at most"
  }
  assert {
    condition     = aws_appautoscaling_target.this.resource_id == "service/antiphon-eu-west/antiphon-eu-west-jobs"
    error_message = "the scaled service is the pool's"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.backlog.threshold == 50 && aws_cloudwatch_metric_alarm.backlog.metric_name == "antiphon_jobs_waiting"
    error_message = "growth begins with 50 waiting jobs"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.backlog.comparison_operator == "GreaterThanOrEqualToThreshold"
    error_message = "exactly 50 waiting jobs are enough"
  }
  assert {
    condition     = { for step in one(aws_appautoscaling_policy.backlog.step_scaling_policy_configuration).step_adjustment : step.metric_interval_lower_bound => step.scaling_adjustment } == { "0" = 1, "50" = 3, "450" = 10 }
    error_message = "+1 from 50, +3 from 100, +10 from 500"
  }
  assert {
    condition     = toset([for step in one(aws_appautoscaling_policy.backlog.step_scaling_policy_configuration).step_adjustment : step.metric_interval_upper_bound == null ? "none" : step.metric_interval_upper_bound]) == toset(["50", "450", "none"])
    error_message = "steps leave no gap, and the last has no end"
  }
  assert {
    condition     = one(aws_appautoscaling_policy.backlog.step_scaling_policy_configuration).cooldown == 60
    error_message = "a minute between two growths"
  }
  assert {
    condition     = one(aws_appautoscaling_policy.backlog.step_scaling_policy_configuration).adjustment_type == "ChangeInCapacity"
    error_message = "steps add to what there is"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.backlog.alarm_actions == toset([aws_appautoscaling_policy.backlog.arn])
    error_message = "the backlog's alarm makes the pool grow"
  }
  assert {
    condition     = one(aws_appautoscaling_policy.target.target_tracking_scaling_policy_configuration).target_value == 70
    error_message = "the target is 70 %"
  }
  assert {
    condition     = one(aws_appautoscaling_policy.target.target_tracking_scaling_policy_configuration).scale_in_cooldown == 300 && one(aws_appautoscaling_policy.target.target_tracking_scaling_policy_configuration).scale_out_cooldown == 60
    error_message = "out after a minute, in after five"
  }
  assert {
    condition     = !one(aws_appautoscaling_policy.target.target_tracking_scaling_policy_configuration).disable_scale_in
    error_message = "the target shrinks the pool"
  }
  assert {
    condition     = one([for metric in one(one(aws_appautoscaling_policy.target.target_tracking_scaling_policy_configuration).customized_metric_specification).metrics : metric.expression if metric.id == "busy"]) == "IF(workers > 0, 100 * running / (workers * 4), 0)"
    error_message = "busy is what runs over the slots there are"
  }
  assert {
    condition     = length(aws_appautoscaling_policy.wake) == 0 && length(aws_cloudwatch_metric_alarm.wake) == 0
    error_message = "a pool that never sleeps needs no waking"
  }
}

run "batch" {
  variables {
    min = 0
  }
  assert {
    condition     = one(one(aws_appautoscaling_policy.wake[0].step_scaling_policy_configuration).step_adjustment).scaling_adjustment == 1 && one(aws_appautoscaling_policy.wake[0].step_scaling_policy_configuration).adjustment_type == "ExactCapacity"
    error_message = "a sleeping pool wakes with one worker"
  }
  assert {
    condition     = one(aws_appautoscaling_policy.wake[0].step_scaling_policy_configuration).cooldown == 0 && aws_cloudwatch_metric_alarm.wake[0].threshold == 1
    error_message = "one waiting job wakes it at once"
  }
  assert {
    condition     = strcontains(one([for query in aws_cloudwatch_metric_alarm.wake[0].metric_query : query.expression if query.id == "asleep_with_work"]), "FILL(workers, 0) < 1")
    error_message = "only a pool at zero is woken"
  }
}

run "refuses_min_above_max" {
  command = plan
  variables {
    min = 51
  }
  expect_failures = [var.max]
}

run "refuses_a_negative_min" {
  command = plan
  variables {
    min = -1
  }
  expect_failures = [var.min]
}

run "refuses_steps_out_of_order" {
  command = plan
  variables {
    steps = [{ from_waiting = 100, add = 3 }, { from_waiting = 50, add = 1 }]
  }
  expect_failures = [var.steps]
}

run "refuses_a_target_of_everything" {
  command = plan
  variables {
    target_percent = 100
  }
  expect_failures = [var.target_percent]
}

run "refuses_to_shrink_faster_than_it_grows" {
  command = plan
  variables {
    scale_in_cooldown_s = 30
  }
  expect_failures = [var.scale_in_cooldown_s]
}
