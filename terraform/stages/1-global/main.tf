# What all regions share: the images, and a budget for everything. Nothing here is asked while a region serves or is applied: images are
# copied to each region's own registry when they are pushed.

locals {
  regions = { for region in jsondecode(file("${path.module}/../../../shared/regions.json")) : region.id => region }
  images  = ["api", "worker"]
}

provider "aws" {
  region              = local.regions[var.primary].aws
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = { antiphon = "global" }
  }
}

resource "aws_ecr_repository" "this" {
  for_each             = toset(local.images)
  name                 = "antiphon/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = false

  image_scanning_configuration { scan_on_push = true }
  encryption_configuration { encryption_type = "AES256" }
}

resource "aws_ecr_lifecycle_policy" "this" {
  for_each   = aws_ecr_repository.this
  repository = each.value.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "The last fifty stay"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 50 }
      action       = { type = "expire" }
    }]
  })
}

resource "aws_ecr_replication_configuration" "this" {
  replication_configuration {
    rule {
      repository_filter {
        filter      = "antiphon/"
        filter_type = "PREFIX_MATCH"
      }
      dynamic "destination" {
        for_each = [for id, region in local.regions : region.aws if id != var.primary]
        content {
          region      = destination.value
          registry_id = var.account_id
        }
      }
    }
  }
}

module "budget" {
  source      = "../../modules/budgets"
  name        = "antiphon"
  region      = null
  monthly_usd = var.monthly_usd
  emails      = var.emails
}
