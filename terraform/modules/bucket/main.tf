locals {
  kinds = ["uploads", "audio", "results"]

  # By the prefixes of shared/contracts/object-keys.ts: `global` content goes to every peer, bound content to peers under
  # the same law. What may not be here at all does not leave from here either.
  flows = [
    for combination in setproduct(keys(var.replicate_to), ["global", var.region.jurisdiction], local.kinds) : {
      peer   = combination[0]
      prefix = "${combination[2]}/${combination[1]}/"
    }
    if combination[1] == "global" || var.replicate_to[combination[0]].jurisdiction == var.region.jurisdiction
  ]

  expiring = merge(
    { "stages/7d/" = 7, "stages/30d/" = 30 },
    var.retention_days == null ? {} : { for kind in ["audio/", "results/", "speech/"] : kind => var.retention_days },
  )
}

resource "aws_s3_bucket" "this" {
  bucket        = var.bucket
  force_destroy = false
  tags          = { use_case = var.use_case, jurisdiction = var.region.jurisdiction }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id
  rule { object_ownership = "BucketOwnerEnforced" }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    apply_server_side_encryption_by_default { sse_algorithm = "AES256" }
  }
}

# Replication needs versions; old ones are gone within days, so that what is deleted is deleted.
resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id
  versioning_configuration { status = "Enabled" }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = ["arn:aws:s3:::${var.bucket}", "arn:aws:s3:::${var.bucket}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "NewTlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = ["arn:aws:s3:::${var.bucket}", "arn:aws:s3:::${var.bucket}/*"]
        Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
      },
    ]
  })
  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_cors_configuration" "this" {
  count  = length(var.upload_origins) > 0 ? 1 : 0
  bucket = aws_s3_bucket.this.id
  cors_rule {
    allowed_methods = ["PUT"]
    allowed_origins = var.upload_origins
    allowed_headers = ["content-type", "x-amz-checksum-sha256", "x-amz-tagging"]
    expose_headers  = ["etag"]
    max_age_seconds = 3600
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "archive-large-uploads"
    status = "Enabled"
    filter {
      and {
        prefix                   = "uploads/"
        object_size_greater_than = var.archive_from_bytes
      }
    }
    transition {
      days          = var.archive_after_days
      storage_class = "GLACIER_IR"
    }
  }

  rule {
    id     = "delete-uploads"
    status = "Enabled"
    filter {
      prefix = var.uploads_are_tagged ? null : "uploads/"
      dynamic "and" {
        for_each = var.uploads_are_tagged ? ["tagged"] : []
        content {
          prefix = "uploads/"
          tags   = { keep = "no" }
        }
      }
    }
    expiration { days = var.upload_days }
  }

  dynamic "rule" {
    for_each = local.expiring
    content {
      id     = "delete-${replace(trimsuffix(rule.key, "/"), "/", "-")}"
      status = "Enabled"
      filter { prefix = rule.key }
      expiration { days = rule.value }
    }
  }

  rule {
    id     = "forget"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload { days_after_initiation = 1 }
    noncurrent_version_expiration { noncurrent_days = 1 }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

# ---- replication within residency

resource "aws_iam_role" "replication" {
  count = length(local.flows) > 0 ? 1 : 0
  name  = "antiphon-${var.region.id}-replication"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "s3.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "replication" {
  count = length(local.flows) > 0 ? 1 : 0
  name  = "replicate"
  role  = aws_iam_role.replication[0].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Source"
        Effect   = "Allow"
        Action   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
        Resource = ["arn:aws:s3:::${var.bucket}"]
      },
      {
        Sid      = "Read"
        Effect   = "Allow"
        Action   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
        Resource = distinct([for flow in local.flows : "arn:aws:s3:::${var.bucket}/${flow.prefix}*"])
      },
      {
        Sid      = "Write"
        Effect   = "Allow"
        Action   = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"]
        Resource = [for flow in local.flows : "${var.replicate_to[flow.peer].bucket_arn}/${flow.prefix}*"]
      },
    ]
  })
}

resource "aws_s3_bucket_replication_configuration" "this" {
  count  = length(local.flows) > 0 ? 1 : 0
  bucket = aws_s3_bucket.this.id
  role   = aws_iam_role.replication[0].arn

  dynamic "rule" {
    for_each = local.flows
    content {
      id       = "${rule.value.peer}-${replace(trimsuffix(rule.value.prefix, "/"), "/", "-")}"
      priority = rule.key + 1
      status   = "Enabled"
      filter { prefix = rule.value.prefix }
      delete_marker_replication { status = "Enabled" }
      destination {
        bucket        = var.replicate_to[rule.value.peer].bucket_arn
        storage_class = "STANDARD"
        metrics {
          status = "Enabled"
          event_threshold { minutes = 15 }
        }
        replication_time {
          status = "Enabled"
          time { minutes = 15 }
        }
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}
