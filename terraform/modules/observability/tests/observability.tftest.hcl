mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name                = "antiphon-eu-west"
  region              = { id = "eu-west", aws = "eu-west-1" }
  emails              = ["ops@example.com"]
  kms_key_arn         = "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000000"
  balancer_suffix     = "app/mock/0123456789abcdef"
  target_group_suffix = "targetgroup/mock/0123456789abcdef"
  database_identifier = "antiphon-eu-west"
  group_names         = ["antiphon-eu-west-jobs", "antiphon-eu-west-batch"]
  instance_hour_usd   = 0.587
  hourly_usd          = 10
  replica             = true
}

run "alarms" {
  assert {
    condition     = length(setsubtract(["antiphon-eu-west-backlog", "antiphon-eu-west-wait", "antiphon-eu-west-errors-5xx", "antiphon-eu-west-p95", "antiphon-eu-west-error-rate", "antiphon-eu-west-cost"], output.alarm_names)) == 0
    error_message = "there are alarms on backlog, wait, 5xx, p95, error rate and cost"
  }
  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.plain), values(aws_cloudwatch_metric_alarm.formula)) : alarm.alarm_actions == toset([aws_sns_topic.alarms.arn])])
    error_message = "every alarm is told"
  }
  assert {
    condition     = toset([for email in aws_sns_topic_subscription.email : email.endpoint]) == toset(["ops@example.com"])
    error_message = "somebody hears the alarms"
  }
  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == var.kms_key_arn
    error_message = "what is told is encrypted"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.plain["backlog"].treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.plain["backlog"].threshold == 1000
    error_message = "a region that says nothing of its backlog is a fault"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.plain["p95"].extended_statistic == "p95" && aws_cloudwatch_metric_alarm.plain["p95"].threshold == 1
    error_message = "the 95th percentile is bounded"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.formula["errors_5xx"].threshold == 1 && strcontains(one([for query in aws_cloudwatch_metric_alarm.formula["errors_5xx"].metric_query : query.expression if query.id == "value"]), "own, 0) + FILL(balancer")
    error_message = "5xx of the API and of the load balancer count"
  }
  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.formula["cost"].metric_query : query.expression if query.id == "value"]) == "0.587 * (FILL(g0, 0) + FILL(g1, 0))" && aws_cloudwatch_metric_alarm.formula["cost"].threshold == 10
    error_message = "the cost is that of all pools' instances"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.plain["wait"].threshold == 30 && aws_cloudwatch_metric_alarm.formula["error_rate"].threshold == 5
    error_message = "wait and error rate are bounded"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.plain["replica_lag"].threshold == 30
    error_message = "a replica that lags is told of"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.plain["dead_letters"].threshold == 0 && aws_cloudwatch_metric_alarm.plain["dead_outbox"].threshold == 0 && aws_cloudwatch_metric_alarm.plain["dead_offers"].threshold == 0
    error_message = "a single job, row or run that was set aside is told of"
  }
  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == length(output.alarm_names)
    error_message = "the dashboard shows what there are alarms on"
  }
}

run "a_primary" {
  state_key = "primary"
  variables {
    replica = false
  }
  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.plain), "replica_lag")
    error_message = "a primary has no lag"
  }
}

run "refuses_alarms_that_nobody_hears" {
  command = plan
  variables {
    emails = []
  }
  expect_failures = [var.emails]
}

run "refuses_pools_for_nothing" {
  command = plan
  variables {
    hourly_usd = 0
  }
  expect_failures = [var.hourly_usd]
}
