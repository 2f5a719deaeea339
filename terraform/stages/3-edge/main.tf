# What the edge is told, and the users by which it signs for S3: one for each region's bucket. Their keys are made by
# `aws iam create-access-key`, so that they are in no state.

locals {
  known = { for region in jsondecode(file("${path.module}/../../../shared/regions.json")) : region.id => region }
}

provider "aws" {
  region              = local.known[var.primary].aws
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = { antiphon = "edge" }
  }
}

resource "aws_iam_user" "edge" {
  for_each = var.regions
  name     = "antiphon-edge-${each.key}"
}

# The edge signs uploads, stores what is streamed through it, and delivers audio, speech and results.
resource "aws_iam_user_policy" "edge" {
  for_each = var.regions
  name     = "objects"
  user     = aws_iam_user.edge[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Upload"
        Effect   = "Allow"
        Action   = ["s3:PutObject"]
        Resource = ["arn:aws:s3:::${each.value.bucket}/uploads/*"]
      },
      {
        # Uploads of durability "multi_region": whether a second region has them, and bringing them there.
        Sid      = "SecondCopy"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["arn:aws:s3:::${each.value.bucket}/uploads/*"]
      },
      {
        Sid      = "Deliver"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = [for kind in ["audio", "speech", "results"] : "arn:aws:s3:::${each.value.bucket}/${kind}/*"]
      },
    ]
  })
}
