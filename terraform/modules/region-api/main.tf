locals {
  port = 8080

  common = {
    ANTIPHON_ENV        = "production"
    ANTIPHON_REGION     = var.region.id
    S3_BUCKET           = var.bucket
    EDGE_URL            = var.edge_url
    NODE_EXTRA_CA_CERTS = "/etc/ssl/certs/rds.pem"
  }

  # Each process gets what regions/config.ts names for it, and no more.
  services = {
    api = {
      environment = merge(local.common, { PORT = tostring(local.port), MODEL_MEMORY_MB = "1024" })
      secrets     = ["REDIS_URL", "DATABASE_URL", "DATABASE_REPLICA_URL", "LINK_SECRETS", "WEBHOOK_KEYS"]
      command     = ["node", "regions/serve-api.ts"]
      cpu         = 1024
      memory      = 3072
      port        = local.port
      # What is read, made and taken back; the edge itself puts uploads and delivers audio.
      reads  = ["uploads", "audio", "results", "speech", "stages"]
      makes  = ["audio", "results", "speech", "stages"]
      erases = []
    }
    keeper = {
      environment = merge(local.common, { OPS_PORT = tostring(local.port), PUBLIC_URL = var.edge_url })
      secrets     = [for name in ["REDIS_URL", "DATABASE_URL", "DATABASE_REPLICA_URL", "LINK_SECRETS", "WEBHOOK_KEYS", "BOOTSTRAP_TENANTS"] : name if contains(keys(var.secret_arns), name)]
      command     = ["node", "regions/run-keeper.ts"]
      cpu         = 512
      memory      = 1024
      port        = local.port
      reads       = ["results"]
      makes       = []
      # It carries out deletions: every version of what is a tenant's.
      erases = ["uploads", "audio", "results", "speech", "stages"]
    }
  }

  metrics = "^antiphon_.*"
  collector = yamlencode({
    receivers = {
      prometheus = { config = { scrape_configs = [{
        job_name        = "antiphon"
        scrape_interval = "30s"
        static_configs  = [{ targets = ["127.0.0.1:${local.port}"], labels = { region = var.region.id } }]
      }] } }
    }
    processors = { batch = { timeout = "10s" } }
    exporters = {
      awsemf = {
        namespace                        = "Antiphon"
        region                           = var.region.aws
        log_group_name                   = aws_cloudwatch_log_group.this.name
        log_stream_name                  = "metrics"
        dimension_rollup_option          = "NoDimensionRollup"
        resource_to_telemetry_conversion = { enabled = false }
        metric_declarations = [
          { dimensions = [["region"]], metric_name_selectors = [local.metrics] },
          { dimensions = [["region", "stream"]], metric_name_selectors = ["^antiphon_stream_entries$"] },
          { dimensions = [["region", "class"]], metric_name_selectors = ["^antiphon_(queue_.*|expected_wait_seconds)$"] },
        ]
      }
    }
    service = { pipelines = { metrics = { receivers = ["prometheus"], processors = ["batch"], exporters = ["awsemf"] } } }
  })
}

# ---- the load balancer, which only the edge may call

resource "aws_security_group" "balancer" {
  name_prefix = "${var.name}-balancer-"
  description = "Load balancer: reached by the edge alone"
  vpc_id      = var.vpc_id
  lifecycle { create_before_destroy = true }
}

resource "aws_vpc_security_group_ingress_rule" "edge" {
  for_each          = var.edge_cidrs
  security_group_id = aws_security_group.balancer.id
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "to_api" {
  security_group_id            = aws_security_group.balancer.id
  referenced_security_group_id = var.services_group_id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_vpc_security_group_ingress_rule" "from_balancer" {
  security_group_id            = var.services_group_id
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_lb" "this" {
  name                       = var.name
  load_balancer_type         = "application"
  internal                   = false
  subnets                    = var.public_subnet_ids
  security_groups            = [aws_security_group.balancer.id]
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  enable_deletion_protection = true
  idle_timeout               = 75
}

resource "aws_lb_target_group" "api" {
  name                 = "${var.name}-api"
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = local.port
  vpc_id               = var.vpc_id
  deregistration_delay = 15

  # Alive, not ready: a region whose Postgres is away still takes jobs, and the edge reads /readyz itself.
  health_check {
    path                = "/healthz"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  protocol          = "HTTPS"
  port              = 443
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type = "fixed-response"
    fixed_response {
      content_type = "text/plain"
      status_code  = "403"
    }
  }
}

# The signature itself is checked by the API; a call that bears none does not even get there.
resource "aws_lb_listener_rule" "signed" {
  listener_arn = aws_lb_listener.https.arn
  priority     = 10
  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.api.arn
  }
  condition {
    path_pattern { values = ["/internal/*"] }
  }
  condition {
    http_header {
      http_header_name = "antiphon-signature"
      values           = ["v1 *"]
    }
  }
}

resource "aws_lb_listener_rule" "ready" {
  listener_arn = aws_lb_listener.https.arn
  priority     = 20
  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.api.arn
  }
  condition {
    path_pattern { values = ["/readyz"] }
  }
}

# ---- API and keeper

resource "aws_cloudwatch_log_group" "this" {
  name              = "/antiphon/${var.name}/services"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "execution" {
  for_each = local.services
  name     = "${var.name}-${each.key}-execution"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "ecs-tasks.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "execution" {
  for_each = local.services
  name     = "start"
  role     = aws_iam_role.execution[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # AWS knows no resource for this one.
        Sid      = "RegistryLogin"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
      {
        Sid      = "Pull"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
        Resource = ["${replace(replace(var.cluster_arn, ":ecs:", ":ecr:"), "/:cluster/.*/", ":repository")}/antiphon/*"]
      },
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.this.arn}:*"]
      },
      {
        Sid      = "Secrets"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = [for name in each.value.secrets : var.secret_arns[name]]
      },
      {
        Sid      = "Key"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = [var.kms_key_arn]
      },
    ]
  })
}

resource "aws_iam_role" "task" {
  for_each = local.services
  name     = "${var.name}-${each.key}-task"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "ecs-tasks.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "task" {
  for_each = local.services
  name     = "serve"
  role     = aws_iam_role.task[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for statement in [
      {
        Sid      = "Read"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = [for kind in each.value.reads : "${var.bucket_arn}/${kind}/*"]
      },
      {
        Sid      = "Make"
        Effect   = "Allow"
        Action   = ["s3:PutObject"]
        Resource = [for kind in each.value.makes : "${var.bucket_arn}/${kind}/*"]
      },
      {
        Sid      = "Erase"
        Effect   = "Allow"
        Action   = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
        Resource = [for kind in each.value.erases : "${var.bucket_arn}/${kind}/*"]
      },
      {
        Sid      = "FindVersions"
        Effect   = "Allow"
        Action   = ["s3:ListBucketVersions"]
        Resource = length(each.value.erases) > 0 ? [var.bucket_arn] : []
      },
      {
        Sid      = "Bucket"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [var.bucket_arn]
      },
      {
        # The collector beside it writes its figures as log events.
        Sid      = "Metrics"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = [aws_cloudwatch_log_group.this.arn, "${aws_cloudwatch_log_group.this.arn}:*"]
      },
    ] : statement if length(statement.Resource) > 0]
  })
}

resource "aws_ecs_task_definition" "this" {
  for_each                 = local.services
  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  execution_role_arn       = aws_iam_role.execution[each.key].arn
  task_role_arn            = aws_iam_role.task[each.key].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  container_definitions = jsonencode([
    {
      name                   = each.key
      image                  = var.image
      essential              = true
      command                = each.value.command
      user                   = "1000:1000"
      readonlyRootFilesystem = true
      stopTimeout            = 30
      linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"], add = [] } }
      environment            = [for name, value in each.value.environment : { name = name, value = value }]
      secrets                = [for name in each.value.secrets : { name = name, valueFrom = var.secret_arns[name] }]
      portMappings           = [{ containerPort = each.value.port, protocol = "tcp" }]
      mountPoints            = [{ sourceVolume = "tmp", containerPath = "/tmp", readOnly = false }]
      # Whether it lives; not whether it is ready: one that waits for a database must not be killed for that.
      healthCheck = {
        command     = ["CMD-SHELL", "node -e \"fetch('http://127.0.0.1:${each.value.port}/healthz').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))\""]
        interval    = 30
        timeout     = 10
        retries     = 3
        startPeriod = 60
      }
      logConfiguration = {
        logDriver = "awslogs"
        options   = { awslogs-group = aws_cloudwatch_log_group.this.name, awslogs-region = var.region.aws, awslogs-stream-prefix = each.key }
      }
    },
    {
      name                   = "collector"
      image                  = var.collector_image
      essential              = false
      user                   = "1000:1000"
      readonlyRootFilesystem = true
      environment            = [{ name = "AOT_CONFIG_CONTENT", value = local.collector }]
      logConfiguration = {
        logDriver = "awslogs"
        options   = { awslogs-group = aws_cloudwatch_log_group.this.name, awslogs-region = var.region.aws, awslogs-stream-prefix = "${each.key}-collector" }
      }
    },
  ])

  volume { name = "tmp" }
}

resource "aws_ecs_service" "api" {
  name                               = "${var.name}-api"
  cluster                            = var.cluster_arn
  task_definition                    = aws_ecs_task_definition.this["api"].arn
  desired_count                      = var.min
  launch_type                        = "FARGATE"
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 60
  propagate_tags                     = "SERVICE"

  network_configuration {
    subnets          = var.private_subnet_ids
    security_groups  = [var.services_group_id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.api.arn
    container_name   = "api"
    container_port   = local.port
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  lifecycle { ignore_changes = [desired_count] }
  depends_on = [aws_lb_listener_rule.signed]
}

# One keeper is enough, and two do no harm: each of its steps is atomic.
resource "aws_ecs_service" "keeper" {
  name                               = "${var.name}-keeper"
  cluster                            = var.cluster_arn
  task_definition                    = aws_ecs_task_definition.this["keeper"].arn
  desired_count                      = 1
  launch_type                        = "FARGATE"
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  propagate_tags                     = "SERVICE"

  network_configuration {
    subnets          = var.private_subnet_ids
    security_groups  = [var.services_group_id]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
}

resource "aws_appautoscaling_target" "api" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${var.cluster_name}/${aws_ecs_service.api.name}"
  min_capacity       = var.min
  max_capacity       = var.max
}

resource "aws_appautoscaling_policy" "api" {
  name               = "${var.name}-api-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.api.service_namespace
  scalable_dimension = aws_appautoscaling_target.api.scalable_dimension
  resource_id        = aws_appautoscaling_target.api.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_out_cooldown = 60
    scale_in_cooldown  = 300
    predefined_metric_specification { predefined_metric_type = "ECSServiceAverageCPUUtilization" }
  }
}
