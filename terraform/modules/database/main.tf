locals {
  primary = var.role == "primary"
}

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnet_ids
}

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-database-"
  description = "Postgres"
  vpc_id      = var.vpc_id
  lifecycle { create_before_destroy = true }
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each                     = var.client_group_ids
  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_ingress_rule" "peers" {
  for_each          = var.peer_cidrs
  security_group_id = aws_security_group.this.id
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 5432
  to_port           = 5432
}

resource "aws_db_parameter_group" "this" {
  name_prefix = "${var.name}-"
  family      = "postgres${split(".", var.engine_version)[0]}"
  lifecycle { create_before_destroy = true }

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  # A long read on a replica is not cancelled by the primary's clean-up.
  parameter {
    name  = "hot_standby_feedback"
    value = "1"
  }

  # A replica that stays away longer is rebuilt; a full disk would stop the primary.
  parameter {
    name  = "max_slot_wal_keep_size"
    value = "20480"
  }

  parameter {
    name  = "wal_receiver_status_interval"
    value = "1"
  }
}

resource "aws_db_instance" "this" {
  identifier     = var.name
  engine         = local.primary ? "postgres" : null
  engine_version = local.primary ? var.engine_version : null
  instance_class = var.instance_class

  replicate_source_db = var.source_arn
  db_name             = local.primary ? "antiphon" : null
  username            = local.primary ? "antiphon" : null
  password_wo         = local.primary ? var.password : null
  password_wo_version = local.primary ? var.password_version : null

  allocated_storage     = local.primary ? var.storage_gb : null
  max_allocated_storage = var.max_storage_gb
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  multi_az               = var.multi_az
  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  publicly_accessible    = false
  parameter_group_name   = aws_db_parameter_group.this.name
  ca_cert_identifier     = "rds-ca-rsa2048-g1"

  backup_retention_period    = var.backup_days
  copy_tags_to_snapshot      = true
  delete_automated_backups   = false
  deletion_protection        = true
  skip_final_snapshot        = !local.primary
  final_snapshot_identifier  = local.primary ? "${var.name}-final" : null
  auto_minor_version_upgrade = true

  performance_insights_enabled    = true
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]

  lifecycle {
    precondition {
      condition     = !local.primary || var.local_replica || length(var.peer_cidrs) > 0
      error_message = "A primary without any replica confirms nothing: set local_replica until another region is there."
    }
  }
}

resource "aws_db_instance" "local_replica" {
  count                  = var.local_replica ? 1 : 0
  identifier             = "${var.name}-replica"
  instance_class         = var.instance_class
  replicate_source_db    = aws_db_instance.this.identifier
  max_allocated_storage  = var.max_storage_gb
  storage_type           = "gp3"
  storage_encrypted      = true
  vpc_security_group_ids = [aws_security_group.this.id]
  publicly_accessible    = false
  parameter_group_name   = aws_db_parameter_group.this.name
  deletion_protection    = true
  skip_final_snapshot    = true
}
