mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name               = "antiphon-eu-west"
  region             = { id = "eu-west", aws = "eu-west-1" }
  cluster_name       = "antiphon-eu-west"
  cluster_arn        = "arn:aws:ecs:eu-west-1:111122223333:cluster/antiphon-eu-west"
  vpc_id             = "vpc-1"
  public_subnet_ids  = ["subnet-public-1", "subnet-public-2"]
  private_subnet_ids = ["subnet-private-1", "subnet-private-2"]
  services_group_id  = "sg-services"
  edge_cidrs         = ["173.245.48.0/20", "103.21.244.0/22"]
  certificate_arn    = "arn:aws:acm:eu-west-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"
  image              = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/antiphon/api:1.4.0"
  edge_url           = "https://voice.example.com"
  bucket             = "antiphon-eu-west-111122223333"
  bucket_arn         = "arn:aws:s3:::antiphon-eu-west-111122223333"
  kms_key_arn        = "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000000"
  secret_arns = {
    REDIS_URL            = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:REDIS_URL-AbCdEf"
    DATABASE_URL         = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:DATABASE_URL-AbCdEf"
    DATABASE_REPLICA_URL = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:DATABASE_REPLICA_URL-AbCdEf"
    LINK_SECRETS         = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:LINK_SECRETS-AbCdEf"
    WEBHOOK_KEYS         = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:WEBHOOK_KEYS-AbCdEf"
    BOOTSTRAP_TENANTS    = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:BOOTSTRAP_TENANTS-AbCdEf"
  }
}

run "a_region_api" {
  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.edge : rule.cidr_ipv4]) == var.edge_cidrs && alltrue([for rule in aws_vpc_security_group_ingress_rule.edge : rule.from_port == 443 && rule.to_port == 443])
    error_message = "only the edge's addresses come in, on 443 alone"
  }
  assert {
    condition     = aws_lb_listener.https.protocol == "HTTPS" && aws_lb_listener.https.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    error_message = "the load balancer speaks TLS 1.2 and 1.3 alone"
  }
  assert {
    condition     = one(aws_lb_listener.https.default_action).type == "fixed-response" && one(one(aws_lb_listener.https.default_action).fixed_response).status_code == "403"
    error_message = "what is not expected is refused"
  }
  assert {
    condition     = anytrue([for condition in aws_lb_listener_rule.signed.condition : try(one(condition.http_header).http_header_name == "antiphon-signature", false)])
    error_message = "a call without a signature does not get to the API"
  }
  assert {
    condition     = anytrue([for condition in aws_lb_listener_rule.signed.condition : try(one(condition.path_pattern).values == toset(["/internal/*"]), false)])
    error_message = "only internal calls get to the API"
  }
  assert {
    condition     = toset(one(one(aws_lb_listener_rule.ready.condition).path_pattern).values) == toset(["/readyz"])
    error_message = "without a signature, only readiness is told; never the metrics"
  }
  assert {
    condition     = aws_lb.this.drop_invalid_header_fields && aws_lb.this.desync_mitigation_mode == "strictest"
    error_message = "requests that can be read in two ways are dropped"
  }
  assert {
    condition     = aws_lb.this.enable_deletion_protection
    error_message = "the load balancer is not deleted along the way"
  }
  assert {
    condition     = one(aws_lb_target_group.api.health_check).path == "/healthz"
    error_message = "an API whose database is away is not taken out"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.from_balancer.referenced_security_group_id == aws_security_group.balancer.id && aws_vpc_security_group_ingress_rule.from_balancer.cidr_ipv4 == null
    error_message = "only the load balancer reaches the API"
  }
  assert {
    condition     = alltrue([for network in concat([one(aws_ecs_service.api.network_configuration)], [one(aws_ecs_service.keeper.network_configuration)]) : network.assign_public_ip == false && network.subnets == toset(var.private_subnet_ids)])
    error_message = "API and keeper have no public address"
  }
  assert {
    condition     = alltrue([for task in aws_ecs_task_definition.this : alltrue([for container in jsondecode(task.container_definitions) : container.user == "1000:1000" && container.readonlyRootFilesystem])])
    error_message = "services are nobody special, on a file system they cannot change"
  }
  assert {
    condition     = alltrue([for task in aws_ecs_task_definition.this : !anytrue([for variable in jsondecode(task.container_definitions)[0].environment : can(regex("SECRET|PASSWORD|REDIS_URL|DATABASE", variable.name))])])
    error_message = "no secret of a service is a plain variable"
  }
  assert {
    condition     = !contains([for secret in jsondecode(aws_ecs_task_definition.this["api"].container_definitions)[0].secrets : secret.name], "BOOTSTRAP_TENANTS") && contains([for secret in jsondecode(aws_ecs_task_definition.this["keeper"].container_definitions)[0].secrets : secret.name], "BOOTSTRAP_TENANTS")
    error_message = "each service is given its own secrets alone"
  }
  assert {
    condition     = length(one([for statement in jsondecode(aws_iam_role_policy.execution["api"].policy).Statement : statement.Resource if statement.Sid == "Secrets"])) == 5
    error_message = "the API's start reads its five secrets alone"
  }
  assert {
    condition     = alltrue([for policy in concat(values(aws_iam_role_policy.task), values(aws_iam_role_policy.execution)) : alltrue([for statement in jsondecode(policy.policy).Statement : alltrue([for action in statement.Action : !strcontains(action, "*")])])])
    error_message = "no role of a service has a wildcard action"
  }
  assert {
    condition     = toset(flatten([for policy in concat(values(aws_iam_role_policy.task), values(aws_iam_role_policy.execution)) : [for statement in jsondecode(policy.policy).Statement : statement.Action if contains(statement.Resource, "*")]])) == toset(["ecr:GetAuthorizationToken"])
    error_message = "no role of a service is allowed anything on all, but to log in to the registry"
  }
  assert {
    condition     = !anytrue([for policy in aws_iam_role_policy.task : anytrue([for statement in jsondecode(policy.policy).Statement : statement.Sid == "Make" && anytrue([for resource in statement.Resource : strcontains(resource, "/uploads/")])])])
    error_message = "services cannot change uploads"
  }
  assert {
    condition     = !contains([for statement in jsondecode(aws_iam_role_policy.task["keeper"].policy).Statement : statement.Sid], "Make")
    error_message = "the keeper writes no object"
  }
  assert {
    condition     = [for task, policy in aws_iam_role_policy.task : task if strcontains(policy.policy, "s3:Delete")] == ["keeper"]
    error_message = "only the keeper, which carries out deletions, may delete"
  }
  assert {
    condition     = strcontains(local.collector, "antiphon_") && strcontains(local.collector, "127.0.0.1:8080")
    error_message = "metrics are read from within the task"
  }
  assert {
    condition     = aws_appautoscaling_target.api.min_capacity == 2 && aws_appautoscaling_target.api.max_capacity == 10
    error_message = "two APIs at least, ten at most"
  }
  assert {
    condition     = aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn && aws_cloudwatch_log_group.this.retention_in_days == 30
    error_message = "the services' logs are encrypted and end"
  }
  assert {
    condition     = one(aws_ecs_service.api.deployment_circuit_breaker).rollback && one(aws_ecs_service.keeper.deployment_circuit_breaker).rollback
    error_message = "a version of a service that does not start is taken back"
  }
}

run "refuses_the_whole_internet" {
  command = plan
  variables {
    edge_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.edge_cidrs]
}

run "refuses_a_certificate_of_another_region" {
  command = plan
  variables {
    certificate_arn = "arn:aws:acm:us-east-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"
  }
  expect_failures = [var.certificate_arn]
}

run "refuses_missing_secrets" {
  command = plan
  variables {
    secret_arns = { REDIS_URL = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:REDIS_URL-AbCdEf" }
  }
  # The services cannot be made of what is missing either, but the variable is looked at first.
  expect_failures = [var.secret_arns]
}

run "refuses_an_edge_in_the_clear" {
  command = plan
  variables {
    edge_url = "http://voice.example.com"
  }
  expect_failures = [var.edge_url]
}

run "refuses_min_above_max" {
  command = plan
  variables {
    min = 11
  }
  expect_failures = [var.min]
}

run "refuses_an_image_that_moves" {
  command = plan
  variables {
    image = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/antiphon/api:latest"
  }
  expect_failures = [var.image]
}
