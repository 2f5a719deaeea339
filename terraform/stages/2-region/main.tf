# All of a region. It asks no other region for anything: what it needs to know of them are the facts that their own applies printed.

locals {
  regions = { for at, region in jsondecode(file("${path.module}/../../../shared/regions.json")) : region.id => merge(region, { at = at }) }
  region  = local.regions[var.region]
  name    = "antiphon-${var.region}"
  buckets = { for id in concat([var.region], keys(var.peers)) : id => "antiphon-${id}-${var.account_id}" }

  registry = "${var.account_id}.dkr.ecr.${local.region.aws}.amazonaws.com/antiphon"
  images = {
    api    = "${local.registry}/api:${var.version_tag}"
    worker = "${local.registry}/worker:${var.version_tag}${var.gpu ? "-cuda" : ""}"
  }

  source_arn = var.primary ? null : one([for peer in values(var.peers) : peer.database_arn if peer.primary])

  # Every server of the cluster, the primary first: writers ask which one is it, so a promotion needs no new URL.
  hosts = concat(
    [for peer in values(var.peers) : peer.database_host if peer.primary],
    module.database.hosts,
    [for peer in values(var.peers) : peer.database_host if !peer.primary],
  )
  login    = "postgres://antiphon:${var.database_password}@"
  database = "/antiphon?sslmode=verify-full"

  secret_names = toset(concat(["REDIS_URL", "DATABASE_URL", "DATABASE_REPLICA_URL", "LINK_SECRETS", "WEBHOOK_KEYS"], var.primary ? ["BOOTSTRAP_TENANTS"] : []))
}

provider "aws" {
  region              = local.region.aws
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = { antiphon = "region", antiphon-region = var.region, use_case = var.use_case }
  }
}

module "secrets" {
  source     = "../../modules/secrets"
  name       = local.name
  aws_region = local.region.aws
  names      = local.secret_names
  values = {
    REDIS_URL            = module.queue.url
    DATABASE_URL         = "${local.login}${join(",", [for host in local.hosts : "${host}:5432"])}${local.database}"
    DATABASE_REPLICA_URL = "${local.login}${module.database.host}:5432${local.database}"
    LINK_SECRETS         = var.link_secrets
    WEBHOOK_KEYS         = var.webhook_keys
    BOOTSTRAP_TENANTS    = var.bootstrap_tenants
  }
  # New hosts and a new queue are written too.
  values_version = var.secrets_version * 1000 + length(local.hosts)
}

module "network" {
  source       = "../../modules/network"
  name         = local.name
  aws_region   = local.region.aws
  cidr         = var.cidr
  nat_per_zone = var.nat_per_zone
  bucket_arns  = ["arn:aws:s3:::${local.buckets[var.region]}"]
  peers = {
    for id, peer in var.peers : id => {
      vpc_id     = peer.vpc_id
      cidr       = peer.cidr
      aws_region = local.regions[id].aws
      # Of two regions, the later one in the list asks.
      requests   = local.region.at > local.regions[id].at
      peering_id = lookup(peer.peering_ids, var.region, null)
    }
  }
}

module "bucket" {
  source         = "../../modules/bucket"
  bucket         = local.buckets[var.region]
  region         = { id = var.region, jurisdiction = local.region.jurisdiction }
  use_case       = var.use_case
  upload_origins = var.upload_origins
  retention_days = var.retention_days
  replicate_to = {
    for id in keys(var.peers) : id => { bucket_arn = "arn:aws:s3:::${local.buckets[id]}", jurisdiction = local.regions[id].jurisdiction }
  }
}

module "queue" {
  source           = "../../modules/queue"
  name             = local.name
  engine           = var.queue.engine
  node_type        = var.queue.node_type
  replicas         = var.queue.replicas
  vpc_id           = module.network.vpc_id
  subnet_ids       = module.network.private_subnet_ids
  client_group_ids = { services = module.network.services_group_id, workers = module.network.workers_group_id }
  kms_key_arn      = module.secrets.kms_key_arn
  password         = var.queue_password
}

module "database" {
  source           = "../../modules/database"
  name             = local.name
  role             = var.primary ? "primary" : "replica"
  source_arn       = local.source_arn
  local_replica    = var.database.local_replica
  instance_class   = var.database.instance_class
  storage_gb       = var.database.storage_gb
  multi_az         = var.database.multi_az
  backup_days      = var.database.backup_days
  vpc_id           = module.network.vpc_id
  subnet_ids       = module.network.private_subnet_ids
  client_group_ids = { services = module.network.services_group_id }
  peer_cidrs       = { for id, peer in var.peers : id => peer.cidr }
  kms_key_arn      = module.secrets.kms_key_arn
  password         = var.database_password
  password_version = var.secrets_version
}

resource "aws_ecs_cluster" "this" {
  name = local.name
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = concat(["FARGATE"], flatten([for pool in module.pool : pool.capacity_providers]))
}

module "api" {
  source             = "../../modules/region-api"
  name               = local.name
  region             = { id = var.region, aws = local.region.aws }
  cluster_name       = aws_ecs_cluster.this.name
  cluster_arn        = aws_ecs_cluster.this.arn
  vpc_id             = module.network.vpc_id
  public_subnet_ids  = module.network.public_subnet_ids
  private_subnet_ids = module.network.private_subnet_ids
  services_group_id  = module.network.services_group_id
  edge_cidrs         = var.edge.cidrs
  edge_url           = var.edge.url
  certificate_arn    = var.certificate_arn
  image              = local.images.api
  bucket             = module.bucket.name
  bucket_arn         = module.bucket.arn
  secret_arns        = module.secrets.arns
  kms_key_arn        = module.secrets.kms_key_arn
  min                = var.api.min
  max                = var.api.max
}

module "pool" {
  source         = "../../modules/gpu-pool"
  for_each       = var.pools
  name           = local.name
  pool           = each.key
  region         = { id = var.region, aws = local.region.aws }
  cluster_name   = aws_ecs_cluster.this.name
  cluster_arn    = aws_ecs_cluster.this.arn
  instance_types = var.instance_types
  gpu            = var.gpu
  min            = each.value.min
  max            = each.value.max
  warm           = each.value.warm
  on_demand_base = each.value.on_demand_base
  subnet_ids     = module.network.private_subnet_ids
  group_id       = module.network.workers_group_id
  image          = local.images.worker
  bucket         = module.bucket.name
  bucket_arn     = module.bucket.arn
  secret_arns    = { for name in ["REDIS_URL", "WEBHOOK_KEYS"] : name => module.secrets.arns[name] }
  kms_key_arn    = module.secrets.kms_key_arn
  concurrency    = var.concurrency
}

module "scaling" {
  source       = "../../modules/autoscaling"
  for_each     = var.pools
  name         = "${local.name}-${each.key}"
  region       = var.region
  cluster_name = aws_ecs_cluster.this.name
  service_name = module.pool[each.key].service_name
  min          = each.value.min
  max          = each.value.max
  concurrency  = var.concurrency
}

module "observability" {
  source              = "../../modules/observability"
  name                = local.name
  region              = { id = var.region, aws = local.region.aws }
  emails              = var.emails
  kms_key_arn         = module.secrets.kms_key_arn
  balancer_suffix     = module.api.balancer_suffix
  target_group_suffix = module.api.target_group_suffix
  database_identifier = module.database.identifier
  group_names         = flatten([for pool in module.pool : pool.group_names])
  instance_hour_usd   = var.costs.instance_hour_usd
  hourly_usd          = var.costs.hourly_usd
  replica             = !var.primary
}

module "budget" {
  source      = "../../modules/budgets"
  name        = local.name
  region      = var.region
  monthly_usd = var.costs.monthly_usd
  emails      = var.emails
}
