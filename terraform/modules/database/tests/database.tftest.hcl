mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name             = "antiphon-us-east"
  role             = "primary"
  vpc_id           = "vpc-1"
  subnet_ids       = ["subnet-1", "subnet-2"]
  client_group_ids = { services = "sg-1" }
  peer_cidrs       = { eu-west = "10.20.0.0/16" }
  kms_key_arn      = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000000"
  password         = "0123456789abcdefghijABCDEFGHIJ"
}

run "primary" {
  assert {
    condition     = aws_db_instance.this.storage_encrypted && aws_db_instance.this.kms_key_id == var.kms_key_arn
    error_message = "the primary is encrypted with the region's key"
  }
  assert {
    condition     = !aws_db_instance.this.publicly_accessible
    error_message = "the primary has no public address"
  }
  assert {
    condition     = aws_db_instance.this.backup_retention_period == 14
    error_message = "the primary can be restored to any moment of two weeks"
  }
  assert {
    condition     = aws_db_instance.this.multi_az
    error_message = "the primary has a standby in another zone"
  }
  assert {
    condition     = aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot && !aws_db_instance.this.delete_automated_backups
    error_message = "the primary is not deleted along the way, nor without a last snapshot"
  }
  assert {
    condition     = aws_db_instance.this.replicate_source_db == null
    error_message = "the primary has no source"
  }
  assert {
    condition     = aws_db_instance.this.password == null
    error_message = "the password is not in the state"
  }
  assert {
    condition     = one([for parameter in aws_db_parameter_group.this.parameter : parameter.value if parameter.name == "rds.force_ssl"]) == "1"
    error_message = "Postgres speaks TLS alone"
  }
  assert {
    condition     = tonumber(one([for parameter in aws_db_parameter_group.this.parameter : parameter.value if parameter.name == "max_slot_wal_keep_size"])) > 0
    error_message = "a replica that is away does not fill the primary's disk"
  }
  assert {
    condition     = aws_db_parameter_group.this.family == "postgres18"
    error_message = "the parameters are those of the engine's version"
  }
  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.clients : rule.referenced_security_group_id] == ["sg-1"] && alltrue([for rule in aws_vpc_security_group_ingress_rule.clients : rule.from_port == 5432 && rule.to_port == 5432])
    error_message = "only the services of this region reach Postgres from within"
  }
  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.peers : rule.cidr_ipv4] == ["10.20.0.0/16"]
    error_message = "only the named networks of peers reach Postgres from outside"
  }
  assert {
    condition     = contains(aws_db_instance.this.enabled_cloudwatch_logs_exports, "postgresql")
    error_message = "Postgres's log is kept"
  }
}

run "replica" {
  state_key = "replica"

  variables {
    name       = "antiphon-eu-west"
    role       = "replica"
    source_arn = "arn:aws:rds:us-east-1:111122223333:db:antiphon-us-east"
  }
  assert {
    condition     = aws_db_instance.this.replicate_source_db == "arn:aws:rds:us-east-1:111122223333:db:antiphon-us-east"
    error_message = "the replica has its source"
  }
  assert {
    condition     = aws_db_instance.this.storage_encrypted && aws_db_instance.this.kms_key_id == var.kms_key_arn
    error_message = "the replica is encrypted with its own region's key"
  }
  assert {
    condition     = aws_db_instance.this.db_name != "antiphon" && aws_db_instance.this.username != "antiphon"
    error_message = "the replica has no database of its own"
  }
  assert {
    condition     = aws_db_instance.this.backup_retention_period == 14
    error_message = "the replica keeps backups, as it may become the primary"
  }
  assert {
    condition     = !aws_db_instance.this.publicly_accessible && aws_db_instance.this.deletion_protection
    error_message = "the replica is neither public nor deleted along the way"
  }
}

run "a_primary_alone_with_a_local_replica" {
  variables {
    peer_cidrs    = {}
    local_replica = true
  }
  assert {
    condition     = aws_db_instance.local_replica[0].replicate_source_db == "antiphon-us-east"
    error_message = "the local replica's source is the primary"
  }
  assert {
    condition     = aws_db_instance.local_replica[0].storage_encrypted && !aws_db_instance.local_replica[0].publicly_accessible
    error_message = "the local replica is encrypted and not public"
  }
}

run "refuses_a_primary_without_any_replica" {
  command = plan
  variables {
    peer_cidrs = {}
  }
  expect_failures = [aws_db_instance.this]
}

run "refuses_a_replica_without_a_source" {
  command = plan
  variables {
    role = "replica"
  }
  expect_failures = [var.source_arn]
}

run "refuses_a_primary_with_a_source" {
  command = plan
  variables {
    source_arn = "arn:aws:rds:us-east-1:111122223333:db:antiphon-us-east"
  }
  expect_failures = [var.source_arn]
}

run "refuses_a_replica_of_a_replica" {
  command = plan
  variables {
    role          = "replica"
    source_arn    = "arn:aws:rds:us-east-1:111122223333:db:antiphon-us-east"
    local_replica = true
  }
  expect_failures = [var.local_replica]
}

run "refuses_backups_of_a_day" {
  command = plan
  variables {
    backup_days = 1
  }
  expect_failures = [var.backup_days]
}

run "refuses_storage_with_min_above_max" {
  command = plan
  variables {
    storage_gb = 600
  }
  expect_failures = [var.max_storage_gb]
}

run "refuses_an_unknown_role" {
  command = plan
  variables {
    role = "arbiter"
  }
  expect_failures = [var.role]
}
