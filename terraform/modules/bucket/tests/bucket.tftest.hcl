mock_provider "aws" {
  source = "../../mocks"
}

variables {
  bucket = "antiphon-eu-west-111122223333"
  region = { id = "eu-west", jurisdiction = "eu" }
}

run "a_bucket" {
  command = plan

  variables {
    upload_origins = ["https://app.example.com"]
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls, aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls, aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "nothing in the bucket is public, by list or by policy"
  }
  assert {
    condition     = one(aws_s3_bucket_ownership_controls.this.rule).object_ownership == "BucketOwnerEnforced"
    error_message = "lists of access are off"
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "objects are encrypted"
  }
  assert {
    condition     = one(aws_s3_bucket_versioning.this.versioning_configuration).status == "Enabled"
    error_message = "versions are on, for replication"
  }
  assert {
    condition = anytrue([
      for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement :
      statement.Effect == "Deny" && statement.Principal == "*" && try(statement.Condition.Bool["aws:SecureTransport"], "") == "false" && length(statement.Resource) == 2
    ])
    error_message = "without TLS nobody gets at bucket or objects"
  }
  assert {
    condition = anytrue([
      for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement :
      statement.Effect == "Deny" && try(statement.Condition.NumericLessThan["s3:TlsVersion"], "") == "1.2"
    ])
    error_message = "TLS is 1.2 at least"
  }
  assert {
    condition     = alltrue([for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement.Effect == "Deny"])
    error_message = "the bucket's own policy allows nothing"
  }
  assert {
    condition     = toset(one(aws_s3_bucket_cors_configuration.this[0].cors_rule).allowed_methods) == toset(["PUT"])
    error_message = "pages may only put"
  }
  assert {
    condition     = toset(one(aws_s3_bucket_cors_configuration.this[0].cors_rule).allowed_origins) == toset(["https://app.example.com"])
    error_message = "only the named pages may upload"
  }
  assert {
    condition     = contains(one(aws_s3_bucket_cors_configuration.this[0].cors_rule).allowed_headers, "x-amz-checksum-sha256")
    error_message = "pages may send the signed checksum"
  }
  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : one(rule.transition).days if rule.id == "archive-large-uploads"]) == 7
    error_message = "uploads are archived after 7 days"
  }
  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : one(rule.transition).storage_class if rule.id == "archive-large-uploads"]) == "GLACIER_IR"
    error_message = "uploads are archived where they can be read at once"
  }
  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : one(one(rule.filter).and) if rule.id == "archive-large-uploads"]).object_size_greater_than == 8388608
    error_message = "only uploads of a size at which it pays are archived"
  }
  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : one(one(rule.filter).and) if rule.id == "archive-large-uploads"]).prefix == "uploads/"
    error_message = "nothing but uploads is archived"
  }
  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : one(rule.expiration).days if rule.id == "delete-uploads"]) == 30
    error_message = "uploads are deleted after 30 days"
  }
  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : one(rule.filter).prefix if rule.id == "delete-uploads"]) == "uploads/"
    error_message = "the deletion of uploads touches uploads alone"
  }
  assert {
    condition     = { for rule in aws_s3_bucket_lifecycle_configuration.this.rule : one(rule.filter).prefix => one(rule.expiration).days if startswith(rule.id, "delete-stages") } == { "stages/7d/" = 7, "stages/30d/" = 30 }
    error_message = "cached outcomes of stages live as long as their prefix says"
  }
  assert {
    condition     = length([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.id if contains(["delete-audio", "delete-results", "delete-speech"], rule.id)]) == 0
    error_message = "without a retention, results and audio stay"
  }
  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : one(rule.noncurrent_version_expiration).noncurrent_days if rule.id == "forget"]) == 1
    error_message = "what was deleted is gone within days"
  }
  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : one(rule.abort_incomplete_multipart_upload).days_after_initiation if rule.id == "forget"]) == 1
    error_message = "broken uploads cost nothing for long"
  }
  assert {
    condition     = length(aws_s3_bucket_replication_configuration.this) == 0 && length(aws_iam_role.replication) == 0
    error_message = "without peers nothing replicates"
  }
  assert {
    condition     = aws_s3_bucket.this.force_destroy == false
    error_message = "a bucket with content is never destroyed along the way"
  }
  assert {
    condition     = aws_s3_bucket.this.tags.use_case == "voice-analysis"
    error_message = "the bucket says what it is for"
  }
}

run "tagged_uploads" {
  command = plan
  variables {
    uploads_are_tagged = true
  }
  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : one(one(rule.filter).and).tags if rule.id == "delete-uploads"]) == tomap({ keep = "no" })
    error_message = "what is tagged keep=yes is not deleted"
  }
}

run "retention" {
  command = plan
  variables {
    retention_days = 365
  }
  assert {
    condition     = { for rule in aws_s3_bucket_lifecycle_configuration.this.rule : one(rule.filter).prefix => one(rule.expiration).days if contains(["delete-audio", "delete-results", "delete-speech"], rule.id) } == { "audio/" = 365, "results/" = 365, "speech/" = 365 }
    error_message = "results, audio and speech end with the retention"
  }
}

run "peers_under_other_laws" {
  command = plan
  variables {
    replicate_to = {
      us-east  = { bucket_arn = "arn:aws:s3:::antiphon-us-east-111122223333", jurisdiction = "us" }
      ap-south = { bucket_arn = "arn:aws:s3:::antiphon-ap-south-111122223333", jurisdiction = "in" }
    }
  }
  assert {
    condition     = length([for rule in aws_s3_bucket_replication_configuration.this[0].rule : rule.id if !strcontains(one(rule.filter).prefix, "/global/")]) == 0
    error_message = "EU content replicates to no other jurisdiction"
  }
  assert {
    condition     = toset([for rule in aws_s3_bucket_replication_configuration.this[0].rule : one(rule.filter).prefix]) == toset(["uploads/global/", "audio/global/", "results/global/"])
    error_message = "global uploads, audio and results replicate, and nothing else"
  }
  assert {
    condition     = toset([for rule in aws_s3_bucket_replication_configuration.this[0].rule : one(rule.destination).bucket]) == toset(["arn:aws:s3:::antiphon-us-east-111122223333", "arn:aws:s3:::antiphon-ap-south-111122223333"])
    error_message = "every peer gets a copy"
  }
  assert {
    condition     = length(distinct([for rule in aws_s3_bucket_replication_configuration.this[0].rule : rule.priority])) == 6
    error_message = "each rule has a priority of its own"
  }
  assert {
    condition     = alltrue([for rule in aws_s3_bucket_replication_configuration.this[0].rule : one(rule.delete_marker_replication).status == "Enabled"])
    error_message = "deletions replicate too"
  }
  assert {
    condition     = length(regexall("eu/", aws_iam_role_policy.replication[0].policy)) == 0
    error_message = "the replicating role cannot even read EU content"
  }
  assert {
    condition     = alltrue([for statement in jsondecode(aws_iam_role_policy.replication[0].policy).Statement : alltrue([for action in statement.Action : !strcontains(action, "*")]) && !contains(statement.Resource, "*")])
    error_message = "the replicating role has no wildcard action and no wildcard resource"
  }
}

run "a_peer_under_the_same_law" {
  command = plan
  variables {
    replicate_to = {
      eu-north = { bucket_arn = "arn:aws:s3:::antiphon-eu-north-111122223333", jurisdiction = "eu" }
      us-east  = { bucket_arn = "arn:aws:s3:::antiphon-us-east-111122223333", jurisdiction = "us" }
    }
  }
  assert {
    condition     = toset([for rule in aws_s3_bucket_replication_configuration.this[0].rule : one(rule.destination).bucket if strcontains(one(rule.filter).prefix, "/eu/")]) == toset(["arn:aws:s3:::antiphon-eu-north-111122223333"])
    error_message = "EU content replicates to the other EU region, and there alone"
  }
}

run "refuses_deletion_before_archiving" {
  command = plan
  variables {
    upload_days = 7
  }
  expect_failures = [var.upload_days]
}

run "refuses_a_retention_below_the_lifecycle" {
  command = plan
  variables {
    retention_days = 14
  }
  expect_failures = [var.retention_days]
}

run "refuses_to_archive_the_smallest" {
  command = plan
  variables {
    archive_from_bytes = 4096
  }
  expect_failures = [var.archive_from_bytes]
}

run "refuses_any_page" {
  command = plan
  variables {
    upload_origins = ["*"]
  }
  expect_failures = [var.upload_origins]
}

run "refuses_itself_as_a_peer" {
  command = plan
  variables {
    replicate_to = { eu-west = { bucket_arn = "arn:aws:s3:::antiphon-eu-west-111122223333", jurisdiction = "eu" } }
  }
  expect_failures = [var.replicate_to]
}
