locals {
  space = "Antiphon"
  here  = { region = var.region.id }
  alb   = { LoadBalancer = var.balancer_suffix, TargetGroup = var.target_group_suffix }
  db    = { DBInstanceIdentifier = var.database_identifier }

  # One metric above a threshold for so many minutes.
  plain = merge(
    {
      backlog = {
        text = "Jobs wait, more than the pool is taking.", namespace = local.space, metric = "antiphon_jobs_waiting", dimensions = local.here
        stat = "Maximum", threshold = var.backlog_jobs, minutes = 10, missing = "breaching"
      }
      wait = {
        text = "The oldest interactive job waits too long, in seconds.", namespace = local.space, metric = "antiphon_queue_oldest_wait_seconds", dimensions = merge(local.here, { class = "interactive" })
        stat = "Maximum", threshold = var.wait_s, minutes = 5, missing = "notBreaching"
      }
      dead_letters = {
        text = "Jobs failed so that an operator should look into them.", namespace = local.space, metric = "antiphon_dead_letters", dimensions = local.here
        stat = "Maximum", threshold = 0, minutes = 5, missing = "notBreaching"
      }
      p95 = {
        text = "The API answers slowly (95th percentile).", namespace = "AWS/ApplicationELB", metric = "TargetResponseTime", dimensions = local.alb
        stat = "p95", threshold = var.p95_s, minutes = 5, missing = "notBreaching"
      }
      unhealthy = {
        text = "An API does not live.", namespace = "AWS/ApplicationELB", metric = "UnHealthyHostCount", dimensions = local.alb
        stat = "Maximum", threshold = 0, minutes = 5, missing = "breaching"
      }
      dead_offers = {
        text = "Finished runs that the ledger could not take.", namespace = local.space, metric = "antiphon_stream_entries", dimensions = merge(local.here, { stream = "{antiphon}:offers:dead" })
        stat = "Maximum", threshold = 0, minutes = 5, missing = "notBreaching"
      }
      dead_outbox = {
        text = "Rows that Postgres could not take.", namespace = local.space, metric = "antiphon_stream_entries", dimensions = merge(local.here, { stream = "{antiphon}:outbox:dead" })
        stat = "Maximum", threshold = 0, minutes = 5, missing = "notBreaching"
      }
      outbox = {
        text = "Rows wait for Postgres, or for a replica to replay them.", namespace = local.space, metric = "antiphon_stream_entries", dimensions = merge(local.here, { stream = "{antiphon}:outbox" })
        stat = "Minimum", threshold = 1000, minutes = 15, missing = "breaching"
      }
      database_cpu = {
        text = "Postgres is busy.", namespace = "AWS/RDS", metric = "CPUUtilization", dimensions = local.db
        stat = "Average", threshold = 80, minutes = 15, missing = "breaching"
      }
    },
    var.replica ? {
      replica_lag = {
        text = "The replica is behind its primary, in seconds.", namespace = "AWS/RDS", metric = "ReplicaLag", dimensions = local.db
        stat = "Maximum", threshold = 30, minutes = 5, missing = "breaching"
      }
    } : {},
  )

  # Several metrics and a formula.
  formulas = {
    errors_5xx = {
      text    = "More than 1 % of the API's answers are 5xx.", threshold = 1, minutes = 5, missing = "notBreaching"
      formula = "IF(requests > 20, 100 * (FILL(own, 0) + FILL(balancer, 0)) / requests, 0)"
      metrics = {
        own      = { namespace = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", dimensions = local.alb, stat = "Sum" }
        balancer = { namespace = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", dimensions = { LoadBalancer = var.balancer_suffix }, stat = "Sum" }
        requests = { namespace = "AWS/ApplicationELB", metric = "RequestCount", dimensions = local.alb, stat = "Sum" }
      }
    }
    error_rate = {
      text    = "More than 5 % of the runs were taken from workers that fell silent.", threshold = 5, minutes = 15, missing = "notBreaching"
      formula = "IF(ended > 20, 100 * FILL(reaped, 0) / ended, 0)"
      metrics = {
        reaped = { namespace = local.space, metric = "antiphon_reaped_total", dimensions = local.here, stat = "Sum" }
        ended  = { namespace = local.space, metric = "antiphon_offers_total", dimensions = local.here, stat = "Sum" }
      }
    }
    cost = {
      text    = "The pools cost more than was foreseen, in dollars an hour at the price on demand.", threshold = var.hourly_usd, minutes = 60, missing = "notBreaching"
      formula = "${var.instance_hour_usd} * (${join(" + ", [for at, name in var.group_names : "FILL(g${at}, 0)"])})"
      metrics = {
        for at, name in var.group_names : "g${at}" => { namespace = "AWS/AutoScaling", metric = "GroupInServiceInstances", dimensions = { AutoScalingGroupName = name }, stat = "Average" }
      }
    }
  }
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_subscription" "email" {
  for_each  = var.emails
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_metric_alarm" "plain" {
  for_each            = local.plain
  alarm_name          = "${var.name}-${replace(each.key, "_", "-")}"
  alarm_description   = each.value.text
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.stat, "p") ? null : each.value.stat
  extended_statistic  = startswith(each.value.stat, "p") ? each.value.stat : null
  period              = 60
  evaluation_periods  = each.value.minutes
  datapoints_to_alarm = each.value.minutes
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "formula" {
  for_each            = local.formulas
  alarm_name          = "${var.name}-${replace(each.key, "_", "-")}"
  alarm_description   = each.value.text
  evaluation_periods  = each.value.minutes
  datapoints_to_alarm = each.value.minutes
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "value"
    expression  = each.value.formula
    label       = each.key
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.metrics
    content {
      id = metric_query.key
      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.metric
        dimensions  = metric_query.value.dimensions
        stat        = metric_query.value.stat
        period      = 60
      }
    }
  }
}

locals {
  shown = concat(
    [for name, alarm in local.plain : { title = name, metrics = [concat([alarm.namespace, alarm.metric], flatten([for key, value in alarm.dimensions : [key, value]]), [{ stat = alarm.stat }])] }],
    [for name, alarm in local.formulas : {
      title = name
      metrics = concat(
        [[{ expression = alarm.formula, id = "value", label = name }]],
        [for id, metric in alarm.metrics : concat([metric.namespace, metric.metric], flatten([for key, value in metric.dimensions : [key, value]]), [{ stat = metric.stat, id = id, visible = false }])],
      )
    }],
  )
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [
      for at, graph in local.shown : {
        type       = "metric"
        x          = 8 * (at % 3)
        y          = 6 * floor(at / 3)
        width      = 8
        height     = 6
        properties = { title = replace(graph.title, "_", " "), region = var.region.aws, period = 60, view = "timeSeries", metrics = graph.metrics }
      }
    ]
  })
}
