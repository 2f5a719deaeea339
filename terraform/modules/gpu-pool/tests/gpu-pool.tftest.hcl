mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name         = "antiphon-eu-west"
  pool         = "jobs"
  region       = { id = "eu-west", aws = "eu-west-1" }
  cluster_name = "antiphon-eu-west"
  cluster_arn  = "arn:aws:ecs:eu-west-1:111122223333:cluster/antiphon-eu-west"
  subnet_ids   = ["subnet-1", "subnet-2"]
  group_id     = "sg-workers"
  image        = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/antiphon/worker:1.4.0-cuda"
  bucket       = "antiphon-eu-west-111122223333"
  bucket_arn   = "arn:aws:s3:::antiphon-eu-west-111122223333"
  secret_arns  = { REDIS_URL = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:antiphon-eu-west/REDIS_URL-AbCdEf" }
  kms_key_arn  = "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000000"
}

run "jobs" {
  assert {
    condition     = one(one(aws_autoscaling_group.mixed.mixed_instances_policy).instances_distribution).on_demand_base_capacity == 5
    error_message = "the first five instances are on demand"
  }
  assert {
    condition     = one(one(aws_autoscaling_group.mixed.mixed_instances_policy).instances_distribution).on_demand_percentage_above_base_capacity == 0
    error_message = "all above the base are spot"
  }
  assert {
    condition     = one(one(aws_autoscaling_group.mixed.mixed_instances_policy).instances_distribution).spot_allocation_strategy == "price-capacity-optimized"
    error_message = "spot is taken where it lasts"
  }
  assert {
    condition     = length(one(one(aws_autoscaling_group.mixed.mixed_instances_policy).launch_template).override) == 3
    error_message = "several instance types may serve"
  }
  assert {
    condition     = aws_autoscaling_group.mixed.max_size == 51
    error_message = "there is room for 50 workers, and one more for a new version"
  }
  assert {
    condition     = aws_autoscaling_group.mixed.capacity_rebalance
    error_message = "spot that is about to go is replaced beforehand"
  }
  assert {
    condition     = length(aws_autoscaling_group.warm) == 0
    error_message = "without warm instances there is one group"
  }
  assert {
    condition     = alltrue([for interface in aws_launch_template.this.network_interfaces : interface.associate_public_ip_address == "false"])
    error_message = "instances have no public address"
  }
  assert {
    condition     = one(aws_launch_template.this.metadata_options).http_tokens == "required" && one(aws_launch_template.this.metadata_options).http_put_response_hop_limit == 1
    error_message = "containers cannot borrow the instance's role"
  }
  assert {
    condition     = one(one(aws_launch_template.this.block_device_mappings).ebs).encrypted == "true"
    error_message = "disks are encrypted"
  }
  assert {
    condition     = strcontains(base64decode(aws_launch_template.this.user_data), "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true") && strcontains(base64decode(aws_launch_template.this.user_data), "ECS_AWSVPC_BLOCK_IMDS=true")
    error_message = "a spot instance that is about to go drains, and tasks see no metadata"
  }
  assert {
    condition     = strcontains(base64decode(aws_launch_template.this.user_data), "s3://antiphon-eu-west-111122223333/models/")
    error_message = "models come to the host before workers do"
  }
  assert {
    condition     = alltrue([for network in aws_ecs_service.this.network_configuration : network.assign_public_ip == false && network.security_groups == toset(["sg-workers"])])
    error_message = "workers have no public address, and the workers' group alone"
  }
  assert {
    condition     = aws_ecs_service.this.desired_count == 5
    error_message = "a pool starts with its minimum"
  }
  assert {
    condition     = one(aws_ecs_service.this.deployment_circuit_breaker).rollback
    error_message = "a version that does not start is taken back"
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].user == "1000:1000" && jsondecode(aws_ecs_task_definition.this.container_definitions)[0].readonlyRootFilesystem && jsondecode(aws_ecs_task_definition.this.container_definitions)[0].linuxParameters.capabilities.drop == ["ALL"]
    error_message = "a worker is nobody special, on a file system it cannot change"
  }
  assert {
    condition     = [for need in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].resourceRequirements : "${need.type}=${need.value}"] == ["GPU=1"]
    error_message = "a worker has a GPU to itself"
  }
  assert {
    condition     = !anytrue([for variable in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment : can(regex("SECRET|PASSWORD|_URL$", variable.name))])
    error_message = "no secret is a plain variable"
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].stopTimeout < 120
    error_message = "a worker is done before spot takes its instance"
  }
  assert {
    condition = alltrue([
      for statement in concat(jsondecode(aws_iam_role_policy.instance.policy).Statement, jsondecode(aws_iam_role_policy.execution.policy).Statement, jsondecode(aws_iam_role_policy.task.policy).Statement) :
      alltrue([for action in statement.Action : !strcontains(action, "*")])
    ])
    error_message = "no role has a wildcard action"
  }
  assert {
    condition = toset(flatten([
      for statement in concat(jsondecode(aws_iam_role_policy.instance.policy).Statement, jsondecode(aws_iam_role_policy.execution.policy).Statement, jsondecode(aws_iam_role_policy.task.policy).Statement) :
      statement.Action if contains(statement.Resource, "*")
    ])) == toset(["ecs:DiscoverPollEndpoint", "ecr:GetAuthorizationToken"])
    error_message = "only what AWS knows no resource for is allowed on all"
  }
  assert {
    condition     = !anytrue([for statement in jsondecode(aws_iam_role_policy.task.policy).Statement : anytrue([for resource in statement.Resource : strcontains(resource, "/uploads/")]) if statement.Sid != "Read"])
    error_message = "workers cannot change uploads"
  }
  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Resource if statement.Sid == "Secrets"]) == [for arn in values(var.secret_arns) : arn]
    error_message = "only the worker's own secrets are read"
  }
  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Resource if statement.Sid == "Pull"]) == ["arn:aws:ecr:eu-west-1:111122223333:repository/antiphon/*"]
    error_message = "only this project's images are pulled"
  }
  assert {
    condition     = alltrue([for provider in aws_ecs_capacity_provider.this : one(provider.auto_scaling_group_provider).managed_termination_protection == "ENABLED" && one(provider.auto_scaling_group_provider).managed_draining == "ENABLED"])
    error_message = "an instance with a worker on it is not taken away"
  }
  assert {
    condition     = aws_cloudwatch_log_group.this.retention_in_days == 30 && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn
    error_message = "logs are encrypted and end"
  }
}

run "batch_sleeps_with_one_warm" {
  state_key = "batch"

  variables {
    pool           = "batch"
    min            = 0
    warm           = 1
    on_demand_base = 1
  }
  assert {
    condition     = one(aws_autoscaling_group.warm[0].warm_pool).min_size == 1 && one(aws_autoscaling_group.warm[0].warm_pool).pool_state == "Stopped"
    error_message = "one instance lies ready, stopped"
  }
  assert {
    condition     = length(aws_autoscaling_group.warm[0].mixed_instances_policy) == 0
    error_message = "the group with warm instances has no spot, which EC2 forbids"
  }
  assert {
    condition     = aws_ecs_service.this.desired_count == 0
    error_message = "a batch pool may sleep"
  }
  assert {
    condition     = one([for strategy in aws_ecs_service.this.capacity_provider_strategy : strategy.base if strategy.capacity_provider == "antiphon-eu-west-batch-warm"]) == 1
    error_message = "the first worker goes to the warm instance"
  }
  assert {
    condition     = one(one(aws_autoscaling_group.mixed.mixed_instances_policy).instances_distribution).on_demand_base_capacity == 0 && aws_autoscaling_group.mixed.max_size == 50
    error_message = "the base is not counted twice"
  }
}

run "without_gpus" {
  variables {
    gpu            = false
    instance_types = ["c7i.xlarge", "c6i.xlarge"]
  }
  assert {
    condition     = length(jsondecode(aws_ecs_task_definition.this.container_definitions)[0].resourceRequirements) == 0 && data.aws_ssm_parameter.ami.name == "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
    error_message = "workers on the CPU ask for no GPU and no driver"
  }
}

run "refuses_min_above_max" {
  command = plan
  variables {
    min = 20
    max = 10
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

run "refuses_a_single_instance_type" {
  command = plan
  variables {
    instance_types = ["g4dn.xlarge"]
  }
  expect_failures = [var.instance_types]
}

run "refuses_an_image_that_moves" {
  command = plan
  variables {
    image = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/antiphon/worker:latest"
  }
  expect_failures = [var.image]
}

run "refuses_warm_instances_without_a_base" {
  command = plan
  variables {
    warm           = 1
    on_demand_base = 0
  }
  expect_failures = [var.warm]
}
