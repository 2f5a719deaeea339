mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name             = "antiphon-eu-west"
  vpc_id           = "vpc-1"
  subnet_ids       = ["subnet-1", "subnet-2"]
  client_group_ids = { services = "sg-1", workers = "sg-2" }
  kms_key_arn      = "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000000"
  password         = "0123456789abcdefghijABCDEFGHIJ0123456789"
}

run "memorydb" {
  assert {
    condition     = length(aws_memorydb_cluster.this) == 1 && length(aws_elasticache_replication_group.this) == 0
    error_message = "by default the queue is the one that keeps what it accepted"
  }
  assert {
    condition     = aws_memorydb_cluster.this[0].tls_enabled
    error_message = "MemoryDB speaks TLS alone"
  }
  assert {
    condition     = aws_memorydb_cluster.this[0].kms_key_arn == var.kms_key_arn
    error_message = "MemoryDB is encrypted with the region's key"
  }
  assert {
    condition     = one([for parameter in aws_memorydb_parameter_group.this[0].parameter : parameter.value if parameter.name == "maxmemory-policy"]) == "noeviction"
    error_message = "MemoryDB never drops what it holds"
  }
  assert {
    condition     = aws_memorydb_cluster.this[0].num_shards == 1
    error_message = "one shard, as the keys lie in one slot"
  }
  assert {
    condition     = aws_memorydb_cluster.this[0].num_replicas_per_shard == 1
    error_message = "a replica takes over at once"
  }
  assert {
    condition     = aws_memorydb_cluster.this[0].snapshot_retention_limit == 7
    error_message = "a week of snapshots is kept"
  }
  assert {
    condition     = strcontains(aws_memorydb_user.this[0].access_string, "-@all") && strcontains(aws_memorydb_user.this[0].access_string, "-@dangerous") && !strcontains(aws_memorydb_user.this[0].access_string, "~* ")
    error_message = "the services' user has its keys alone and no dangerous command"
  }
  assert {
    condition     = aws_memorydb_acl.this[0].user_names == toset(["antiphon-eu-west-antiphon"])
    error_message = "nobody else may log in"
  }
  assert {
    condition     = startswith(output.url, "rediss://antiphon-eu-west-antiphon:")
    error_message = "services connect by TLS, as their own user"
  }
  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.clients : rule.referenced_security_group_id]) == toset(["sg-1", "sg-2"]) && alltrue([for rule in aws_vpc_security_group_ingress_rule.clients : rule.cidr_ipv4 == null])
    error_message = "only services and workers reach the queue"
  }
}

run "elasticache" {
  variables {
    engine = "elasticache"
  }
  assert {
    condition     = length(aws_elasticache_replication_group.this) == 1 && length(aws_memorydb_cluster.this) == 0
    error_message = "ElastiCache where it is asked for"
  }
  assert {
    condition     = aws_elasticache_replication_group.this[0].transit_encryption_enabled && aws_elasticache_replication_group.this[0].transit_encryption_mode == "required"
    error_message = "ElastiCache speaks TLS alone"
  }
  assert {
    condition     = aws_elasticache_replication_group.this[0].at_rest_encryption_enabled == "true" && aws_elasticache_replication_group.this[0].kms_key_id == var.kms_key_arn
    error_message = "ElastiCache is encrypted with the region's key"
  }
  assert {
    condition     = aws_elasticache_replication_group.this[0].num_cache_clusters == 2 && aws_elasticache_replication_group.this[0].automatic_failover_enabled && aws_elasticache_replication_group.this[0].multi_az_enabled
    error_message = "ElastiCache has a replica in another zone that takes over"
  }
  assert {
    condition     = one([for parameter in aws_elasticache_parameter_group.this[0].parameter : parameter.value if parameter.name == "maxmemory-policy"]) == "noeviction"
    error_message = "ElastiCache never drops what it holds"
  }
  assert {
    condition     = one([for parameter in aws_elasticache_parameter_group.this[0].parameter : parameter.value if parameter.name == "min-replicas-to-write"]) == "1"
    error_message = "ElastiCache accepts nothing while no replica listens"
  }
  assert {
    condition     = aws_elasticache_user.nobody[0].access_string == "off -@all"
    error_message = "the default user is off"
  }
  assert {
    condition     = startswith(output.url, "rediss://antiphon:")
    error_message = "services connect to ElastiCache by TLS, as their own user"
  }
}

run "refuses_elasticache_without_a_replica" {
  command = plan
  variables {
    engine   = "elasticache"
    replicas = 0
  }
  expect_failures = [var.replicas]
}

run "refuses_an_unknown_engine" {
  command = plan
  variables {
    engine = "valkey-serverless"
  }
  expect_failures = [var.engine]
}

run "refuses_six_replicas" {
  command = plan
  variables {
    replicas = 6
  }
  expect_failures = [var.replicas]
}

run "refuses_a_short_password" {
  command = plan
  variables {
    password = "short"
  }
  expect_failures = [var.password]
}
