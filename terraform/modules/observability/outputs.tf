output "topic_arn" {
  value = aws_sns_topic.alarms.arn
}

output "alarm_names" {
  value = sort(concat([for alarm in aws_cloudwatch_metric_alarm.plain : alarm.alarm_name], [for alarm in aws_cloudwatch_metric_alarm.formula : alarm.alarm_name]))
}
