mock_provider "aws" {
  source = "../../mocks"
}

variables {
  region            = "eu-west"
  account_id        = "111122223333"
  primary           = false
  cidr              = "10.20.0.0/16"
  edge              = { url = "https://voice.example.com", cidrs = ["173.245.48.0/20"] }
  certificate_arn   = "arn:aws:acm:eu-west-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"
  version_tag       = "1.4.0"
  costs             = { monthly_usd = 4000, hourly_usd = 10, instance_hour_usd = 0.587 }
  emails            = ["ops@example.com"]
  queue_password    = "0123456789abcdefghijABCDEFGHIJ0123456789"
  database_password = "0123456789abcdefghijABCDEFGHIJ"
  link_secrets      = "0123456789abcdef0123456789abcdef"
  bootstrap_tenants = "[]"
  webhook_keys      = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
  peers = {
    us-east = {
      primary       = true
      vpc_id        = "vpc-us"
      cidr          = "10.10.0.0/16"
      database_arn  = "arn:aws:rds:us-east-1:111122223333:db:antiphon-us-east"
      database_host = "antiphon-us-east.abc.us-east-1.rds.amazonaws.com"
    }
    ap-south = {
      primary       = false
      vpc_id        = "vpc-ap"
      cidr          = "10.30.0.0/16"
      database_arn  = "arn:aws:rds:ap-south-1:111122223333:db:antiphon-ap-south"
      database_host = "antiphon-ap-south.abc.ap-south-1.rds.amazonaws.com"
      peering_ids   = { eu-west = "pcx-ap" }
    }
  }
}

run "a_replica_region" {
  assert {
    condition     = output.facts.database_arn != null && local.source_arn == "arn:aws:rds:us-east-1:111122223333:db:antiphon-us-east"
    error_message = "the replica follows the primary of us-east"
  }
  assert {
    condition     = local.hosts[0] == "antiphon-us-east.abc.us-east-1.rds.amazonaws.com" && length(local.hosts) == 3
    error_message = "writers know every server, the primary first"
  }
  assert {
    condition     = output.facts.bucket == "antiphon-eu-west-111122223333"
    error_message = "the bucket is the region's own"
  }
  assert {
    condition     = keys(output.facts.peering_ids) == ["us-east"]
    error_message = "of two regions the later one asks for the link"
  }
  assert {
    condition     = local.images.worker == "111122223333.dkr.ecr.eu-west-1.amazonaws.com/antiphon/worker:1.4.0-cuda"
    error_message = "images come from the region's own registry"
  }
  assert {
    condition     = !contains(local.secret_names, "BOOTSTRAP_TENANTS")
    error_message = "only the primary's keeper makes tenants"
  }
  assert {
    condition     = contains(aws_ecs_cluster_capacity_providers.this.capacity_providers, "antiphon-eu-west-jobs-mixed")
    error_message = "the cluster has the pool's instances"
  }
  assert {
    condition     = one(aws_ecs_cluster.this.setting).value == "enabled"
    error_message = "the cluster counts its workers, which scaling needs"
  }
  assert {
    condition     = strcontains(nonsensitive(module.queue.url), "@clustercfg.")
    error_message = "the queue is MemoryDB, where nothing else is asked for"
  }
}

run "the_primary_alone" {
  state_key = "primary"
  variables {
    region          = "us-east"
    primary         = true
    cidr            = "10.10.0.0/16"
    certificate_arn = "arn:aws:acm:us-east-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"
    peers           = {}
    database        = { local_replica = true }
    gpu             = false
    instance_types  = ["c7i.xlarge", "c6i.xlarge"]
    pools           = { jobs = { min = 1, max = 4, on_demand_base = 1 }, batch = { min = 0, warm = 1, on_demand_base = 1 } }
  }
  assert {
    condition     = local.source_arn == null && length(local.hosts) == 2
    error_message = "the primary alone has a replica beside it"
  }
  assert {
    condition     = contains(local.secret_names, "BOOTSTRAP_TENANTS")
    error_message = "the primary's keeper makes the first tenant"
  }
  assert {
    condition     = local.images.worker == "111122223333.dkr.ecr.us-east-1.amazonaws.com/antiphon/worker:1.4.0"
    error_message = "without GPUs the small image runs"
  }
  assert {
    condition     = length(module.scaling) == 2 && length(aws_ecs_cluster_capacity_providers.this.capacity_providers) == 4
    error_message = "each pool scales by itself"
  }
}

run "refuses_an_unknown_region" {
  command = plan
  variables {
    region = "atlantis"
  }
  expect_failures = [var.region]
}

run "refuses_an_unknown_peer" {
  command = plan
  variables {
    peers = {
      us-east  = { primary = true, vpc_id = "vpc-us", cidr = "10.10.0.0/16", database_arn = "arn:aws:rds:us-east-1:111122223333:db:a", database_host = "a" }
      atlantis = { primary = false, vpc_id = "vpc-x", cidr = "10.90.0.0/16", database_arn = "arn:aws:rds:us-east-1:111122223333:db:b", database_host = "b" }
    }
  }
  expect_failures = [var.peers]
}

run "refuses_two_primaries" {
  command = plan
  variables {
    primary = true
  }
  expect_failures = [var.peers]
}

run "refuses_no_primary" {
  command = plan
  variables {
    peers = {}
  }
  expect_failures = [var.peers]
}

run "refuses_to_be_its_own_peer" {
  command = plan
  variables {
    peers = {
      us-east = { primary = true, vpc_id = "vpc-us", cidr = "10.10.0.0/16", database_arn = "arn:aws:rds:us-east-1:111122223333:db:a", database_host = "a" }
      eu-west = { primary = false, vpc_id = "vpc-x", cidr = "10.90.0.0/16", database_arn = "arn:aws:rds:us-east-1:111122223333:db:b", database_host = "b" }
    }
  }
  expect_failures = [var.peers]
}

run "refuses_a_pool_with_min_above_max" {
  command = plan
  variables {
    pools = { jobs = { min = 20, max = 10 } }
  }
  expect_failures = [var.pools]
}

run "refuses_a_short_link_secret" {
  command = plan
  variables {
    link_secrets = "short"
  }
  expect_failures = [var.link_secrets]
}

run "refuses_a_webhook_key_that_is_none" {
  command = plan
  variables {
    webhook_keys = "short"
  }
  expect_failures = [var.webhook_keys]
}

run "refuses_a_short_database_password" {
  command = plan
  variables {
    database_password = "short"
  }
  expect_failures = [var.database_password]
}

run "refuses_a_strange_account" {
  command = plan
  variables {
    account_id = "me"
  }
  expect_failures = [var.account_id]
}
