locals {
  memorydb    = var.engine == "memorydb"
  elasticache = var.engine == "elasticache"
  user        = "antiphon"

  # The keys of regions/queue and regions/results, and no command that could harm the server or the other keys. INFO is how a
  # client sees that the server is ready, and that nothing is evicted.
  access = "on ~{antiphon}:* ~{antiphon-stages}:* ~antiphon:* &{antiphon}:* -@all +@read +@write +@stream +@pubsub +@scripting +@transaction +@connection -@dangerous +info"

  host = local.memorydb ? one(aws_memorydb_cluster.this[*].cluster_endpoint[0].address) : one(aws_elasticache_replication_group.this[*].primary_endpoint_address)
}

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-queue-"
  description = "Queue"
  vpc_id      = var.vpc_id
  lifecycle { create_before_destroy = true }
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each                     = var.client_group_ids
  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

# ---- MemoryDB

resource "aws_memorydb_subnet_group" "this" {
  count      = local.memorydb ? 1 : 0
  name       = var.name
  subnet_ids = var.subnet_ids
}

resource "aws_memorydb_parameter_group" "this" {
  count  = local.memorydb ? 1 : 0
  name   = "${var.name}-redis7"
  family = "memorydb_redis7"

  # A full queue refuses; it never drops what it holds.
  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }

  # Sets are searched by ids of 44 bytes: in a list of fifty that costs several times what it does in a tree.
  parameter {
    name  = "zset-max-listpack-entries"
    value = "16"
  }
}

resource "aws_memorydb_user" "this" {
  count         = local.memorydb ? 1 : 0
  user_name     = "${var.name}-${local.user}"
  access_string = local.access
  authentication_mode {
    type      = "password"
    passwords = [var.password]
  }
}

resource "aws_memorydb_acl" "this" {
  count      = local.memorydb ? 1 : 0
  name       = var.name
  user_names = [aws_memorydb_user.this[0].user_name]
}

resource "aws_memorydb_cluster" "this" {
  count                      = local.memorydb ? 1 : 0
  name                       = var.name
  engine                     = "redis"
  engine_version             = "7.1"
  node_type                  = "db.${var.node_type}"
  num_shards                 = 1 # All keys that belong together lie in one slot: a second shard would hold next to nothing.
  num_replicas_per_shard     = var.replicas
  acl_name                   = aws_memorydb_acl.this[0].name
  subnet_group_name          = aws_memorydb_subnet_group.this[0].name
  security_group_ids         = [aws_security_group.this.id]
  parameter_group_name       = aws_memorydb_parameter_group.this[0].name
  tls_enabled                = true
  kms_key_arn                = var.kms_key_arn
  snapshot_retention_limit   = var.snapshot_days
  auto_minor_version_upgrade = true
}

# ---- ElastiCache

resource "aws_elasticache_subnet_group" "this" {
  count      = local.elasticache ? 1 : 0
  name       = var.name
  subnet_ids = var.subnet_ids
}

resource "aws_elasticache_parameter_group" "this" {
  count  = local.elasticache ? 1 : 0
  name   = "${var.name}-redis7"
  family = "redis7"

  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }

  # Sets are searched by ids of 44 bytes: in a list of fifty that costs several times what it does in a tree.
  parameter {
    name  = "zset-max-listpack-entries"
    value = "16"
  }

  # Rather refuse for a while than accept alone what nobody else has heard of.
  parameter {
    name  = "min-replicas-to-write"
    value = "1"
  }

  parameter {
    name  = "min-replicas-max-lag"
    value = "2"
  }
}

resource "aws_elasticache_user" "this" {
  count         = local.elasticache ? 1 : 0
  user_id       = "${var.name}-${local.user}"
  user_name     = local.user
  engine        = "redis"
  access_string = local.access
  authentication_mode {
    type      = "password"
    passwords = [var.password]
  }
}

# A group has to have a user called `default`; this one may do nothing.
resource "aws_elasticache_user" "nobody" {
  count         = local.elasticache ? 1 : 0
  user_id       = "${var.name}-default"
  user_name     = "default"
  engine        = "redis"
  access_string = "off -@all"
  authentication_mode {
    type      = "password"
    passwords = [var.password]
  }
}

resource "aws_elasticache_user_group" "this" {
  count         = local.elasticache ? 1 : 0
  user_group_id = var.name
  engine        = "redis"
  user_ids      = [aws_elasticache_user.this[0].user_id, aws_elasticache_user.nobody[0].user_id]
}

resource "aws_elasticache_replication_group" "this" {
  count                      = local.elasticache ? 1 : 0
  replication_group_id       = var.name
  description                = "Queue of ${var.name}"
  engine                     = "redis"
  engine_version             = "7.1"
  node_type                  = "cache.${var.node_type}"
  num_cache_clusters         = var.replicas + 1
  automatic_failover_enabled = true
  multi_az_enabled           = true
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn
  user_group_ids             = [aws_elasticache_user_group.this[0].user_group_id]
  subnet_group_name          = aws_elasticache_subnet_group.this[0].name
  security_group_ids         = [aws_security_group.this.id]
  parameter_group_name       = aws_elasticache_parameter_group.this[0].name
  snapshot_retention_limit   = var.snapshot_days
}
