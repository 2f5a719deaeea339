locals {
  name = "${var.name}-${var.pool}"
  # Amazon's own image for ECS, with the driver where there is a GPU.
  ami_parameter = "/aws/service/ecs/optimized-ami/amazon-linux-2023${var.gpu ? "/gpu" : ""}/recommended/image_id"
  # By warm instances: the base apart, everything above it spot.
  base_apart = var.warm > 0
  mixed_base = local.base_apart ? 0 : var.on_demand_base
  # One instance more than workers, so that a new version finds room before the old one has left.
  mixed_max = (local.base_apart ? max(var.max - var.on_demand_base, 0) : var.max) + 1

  environment = merge(
    {
      ANTIPHON_ENV        = "production"
      ANTIPHON_REGION     = var.region.id
      S3_BUCKET           = var.bucket
      OPS_PORT            = "9090"
      WORKER_CONCURRENCY  = tostring(var.concurrency)
      MODEL_MEMORY_MB     = tostring(var.model_memory_mb)
      ANTIPHON_MODELS_DIR = "/models"
      SCRATCH_DIR         = "/scratch"
    },
    # As regions/worker-environment.ts says, which tells why.
    {
      MALLOC_MMAP_THRESHOLD_ = "65536"
      MALLOC_TRIM_THRESHOLD_ = "65536"
      NODE_OPTIONS           = "--max-semi-space-size=2"
    },
  )
}

data "aws_ssm_parameter" "ami" {
  name = local.ami_parameter
}

# ---- instances

resource "aws_iam_role" "instance" {
  name = "${local.name}-instance"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "ec2.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "instance" {
  name = "join-cluster"
  role = aws_iam_role.instance.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Join"
        Effect   = "Allow"
        Action   = ["ecs:RegisterContainerInstance", "ecs:DeregisterContainerInstance"]
        Resource = [var.cluster_arn]
      },
      {
        Sid      = "Serve"
        Effect   = "Allow"
        Action   = ["ecs:Poll", "ecs:StartTelemetrySession", "ecs:SubmitTaskStateChange", "ecs:SubmitContainerStateChange", "ecs:SubmitAttachmentStateChanges", "ecs:UpdateContainerInstancesState"]
        Resource = [var.cluster_arn, "${replace(var.cluster_arn, ":cluster/", ":container-instance/")}/*", "${replace(var.cluster_arn, ":cluster/", ":task/")}/*"]
      },
      {
        # AWS knows no resource for this one.
        Sid      = "FindEndpoint"
        Effect   = "Allow"
        Action   = ["ecs:DiscoverPollEndpoint"]
        Resource = ["*"]
      },
      {
        Sid      = "Models"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["${var.bucket_arn}/models/*"]
      },
      {
        Sid       = "ListModels"
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = [var.bucket_arn]
        Condition = { StringLike = { "s3:prefix" = ["models/*"] } }
      },
    ]
  })
}

resource "aws_iam_instance_profile" "this" {
  name = "${local.name}-instance"
  role = aws_iam_role.instance.name
}

resource "aws_launch_template" "this" {
  name_prefix            = "${local.name}-"
  image_id               = data.aws_ssm_parameter.ami.value
  instance_type          = var.instance_types[0]
  update_default_version = true

  iam_instance_profile { arn = aws_iam_instance_profile.this.arn }

  network_interfaces {
    associate_public_ip_address = false
    delete_on_termination       = true
    security_groups             = [var.group_id]
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      encrypted             = true
      volume_type           = "gp3"
      volume_size           = 100
      delete_on_termination = true
    }
  }

  # Models lie on the host, so that a new worker there starts warm. The agent joins the cluster when they have come.
  user_data = base64encode(<<-SH
    #!/bin/bash
    set -u
    cat >>/etc/ecs/ecs.config <<'CONFIG'
    ECS_CLUSTER=${var.cluster_name}
    ECS_ENABLE_SPOT_INSTANCE_DRAINING=true
    ECS_AWSVPC_BLOCK_IMDS=true
    ECS_CONTAINER_STOP_TIMEOUT=${var.stop_timeout_s}s
    ECS_WARM_POOLS_CHECK=${local.base_apart}
    ECS_ENABLE_GPU_SUPPORT=${var.gpu}
    CONFIG
    mkdir -p /var/lib/antiphon/models /var/lib/antiphon/scratch
    chown 1000:1000 /var/lib/antiphon/models /var/lib/antiphon/scratch
    command -v aws >/dev/null || dnf install -y awscli-2
    aws s3 sync --only-show-errors --region ${var.region.aws} s3://${var.bucket}/models/ /var/lib/antiphon/models/ || true
    chown -R 1000:1000 /var/lib/antiphon/models
  SH
  )

  tag_specifications {
    resource_type = "instance"
    tags          = { Name = local.name, antiphon-region = var.region.id, antiphon-pool = var.pool }
  }
  tag_specifications {
    resource_type = "volume"
    tags          = { Name = local.name, antiphon-region = var.region.id, antiphon-pool = var.pool }
  }
}

resource "aws_autoscaling_group" "mixed" {
  name                  = local.name
  min_size              = 0 # How many there are follows from the workers; see managed_scaling.
  max_size              = local.mixed_max
  vpc_zone_identifier   = var.subnet_ids
  protect_from_scale_in = true
  capacity_rebalance    = true
  health_check_type     = "EC2"

  mixed_instances_policy {
    instances_distribution {
      on_demand_base_capacity                  = local.mixed_base
      on_demand_percentage_above_base_capacity = var.on_demand_percent
      on_demand_allocation_strategy            = "prioritized"
      spot_allocation_strategy                 = "price-capacity-optimized"
    }
    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.this.id
        version            = aws_launch_template.this.latest_version
      }
      dynamic "override" {
        for_each = var.instance_types
        content { instance_type = override.value }
      }
    }
  }

  dynamic "tag" {
    for_each = { AmazonECSManaged = "true", antiphon-region = var.region.id, antiphon-pool = var.pool }
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  lifecycle { ignore_changes = [desired_capacity] }
}

resource "aws_autoscaling_group" "warm" {
  count                 = local.base_apart ? 1 : 0
  name                  = "${local.name}-warm"
  min_size              = 0
  max_size              = var.on_demand_base
  vpc_zone_identifier   = var.subnet_ids
  protect_from_scale_in = true
  health_check_type     = "EC2"

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  warm_pool {
    pool_state                  = "Stopped"
    min_size                    = var.warm
    max_group_prepared_capacity = var.warm
    instance_reuse_policy { reuse_on_scale_in = false } # ECS cannot take an instance back.
  }

  dynamic "tag" {
    for_each = { AmazonECSManaged = "true", antiphon-region = var.region.id, antiphon-pool = var.pool }
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  lifecycle { ignore_changes = [desired_capacity] }
}

resource "aws_ecs_capacity_provider" "this" {
  for_each = merge({ mixed = aws_autoscaling_group.mixed.arn }, local.base_apart ? { warm = aws_autoscaling_group.warm[0].arn } : {})
  name     = "${local.name}-${each.key}"
  auto_scaling_group_provider {
    auto_scaling_group_arn         = each.value
    managed_termination_protection = "ENABLED"
    managed_draining               = "ENABLED"
    managed_scaling {
      status                    = "ENABLED"
      target_capacity           = 100
      minimum_scaling_step_size = 1
      maximum_scaling_step_size = 10
      instance_warmup_period    = 180
    }
  }
}

# ---- workers

resource "aws_cloudwatch_log_group" "this" {
  name              = "/antiphon/${local.name}"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "execution" {
  name = "${local.name}-execution"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "ecs-tasks.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "execution" {
  name = "start"
  role = aws_iam_role.execution.name
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
        Resource = values(var.secret_arns)
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
  name = "${local.name}-task"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "ecs-tasks.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

# A worker reads uploads, and reads, writes and takes back what it makes; nothing else.
resource "aws_iam_role_policy" "task" {
  name = "work"
  role = aws_iam_role.task.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Read"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:GetObjectTagging"]
        Resource = [for kind in ["uploads", "audio", "results", "speech", "stages"] : "${var.bucket_arn}/${kind}/*"]
      },
      {
        Sid      = "Make"
        Effect   = "Allow"
        Action   = ["s3:PutObject", "s3:PutObjectTagging"]
        Resource = [for kind in ["audio", "results", "speech", "stages"] : "${var.bucket_arn}/${kind}/*"]
      },
      {
        Sid      = "TakeBack"
        Effect   = "Allow"
        Action   = ["s3:DeleteObject"]
        Resource = ["${var.bucket_arn}/results/*"]
      },
      {
        Sid      = "Bucket"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [var.bucket_arn]
      },
    ]
  })
}

resource "aws_ecs_task_definition" "this" {
  family                   = local.name
  requires_compatibilities = ["EC2"]
  network_mode             = "awsvpc"
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn

  container_definitions = jsonencode([
    {
      name                   = "worker"
      image                  = var.image
      essential              = true
      memoryReservation      = 8192
      user                   = "1000:1000"
      readonlyRootFilesystem = true
      privileged             = false
      stopTimeout            = var.stop_timeout_s
      linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"], add = [] } }
      environment            = [for name, value in local.environment : { name = name, value = value } if value != null]
      secrets                = [for name, arn in var.secret_arns : { name = name, valueFrom = arn }]
      resourceRequirements   = var.gpu ? [{ type = "GPU", value = "1" }] : []
      mountPoints = [
        { sourceVolume = "models", containerPath = "/models", readOnly = true },
        { sourceVolume = "scratch", containerPath = "/scratch", readOnly = false },
        { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false },
      ]
      # Whether it lives; not whether it is ready: one that waits for the queue must not be killed for that.
      healthCheck = {
        command     = ["CMD-SHELL", "node -e \"fetch('http://127.0.0.1:9090/healthz').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))\""]
        interval    = 30
        timeout     = 10
        retries     = 3
        startPeriod = 120
      }
      logConfiguration = {
        logDriver = "awslogs"
        options   = { awslogs-group = aws_cloudwatch_log_group.this.name, awslogs-region = var.region.aws, awslogs-stream-prefix = "worker" }
      }
    },
  ])

  volume {
    name      = "models"
    host_path = "/var/lib/antiphon/models"
  }
  volume {
    name      = "scratch"
    host_path = "/var/lib/antiphon/scratch"
  }
  volume {
    name = "tmp"
    docker_volume_configuration { scope = "task" }
  }
}

resource "aws_ecs_service" "this" {
  name                               = local.name
  cluster                            = var.cluster_arn
  task_definition                    = aws_ecs_task_definition.this.arn
  desired_count                      = var.min
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 110
  propagate_tags                     = "SERVICE"

  dynamic "capacity_provider_strategy" {
    for_each = aws_ecs_capacity_provider.this
    content {
      capacity_provider = capacity_provider_strategy.value.name
      base              = capacity_provider_strategy.key == "warm" ? var.on_demand_base : 0
      weight            = capacity_provider_strategy.key == "mixed" ? 1 : 0
    }
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.group_id]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  # How many there are is the scaler's business.
  lifecycle { ignore_changes = [desired_count] }
}
