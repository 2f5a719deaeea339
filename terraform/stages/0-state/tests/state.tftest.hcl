mock_provider "aws" {
  source = "../../mocks"
}

variables {
  region     = "eu-west"
  account_id = "111122223333"
}

run "state" {
  assert {
    condition     = aws_s3_bucket.state.bucket == "antiphon-state-eu-west-111122223333" && aws_s3_bucket.state.force_destroy == false
    error_message = "each region has a state bucket of its own, which is not emptied along the way"
  }
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.state.block_public_acls, aws_s3_bucket_public_access_block.state.block_public_policy,
      aws_s3_bucket_public_access_block.state.ignore_public_acls, aws_s3_bucket_public_access_block.state.restrict_public_buckets,
    ])
    error_message = "the state is not public"
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.state.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms"
    error_message = "the state is encrypted with a key of its own"
  }
  assert {
    condition     = aws_kms_key.state.enable_key_rotation
    error_message = "the state's key rotates"
  }
  assert {
    condition     = one(aws_s3_bucket_versioning.state.versioning_configuration).status == "Enabled"
    error_message = "an overwritten state can be had back"
  }
  assert {
    condition     = one([for statement in jsondecode(aws_s3_bucket_policy.state.policy).Statement : statement.Condition.Bool["aws:SecureTransport"] if statement.Effect == "Deny"]) == "false"
    error_message = "the state travels by TLS alone"
  }
  assert {
    condition     = one(one(aws_s3_bucket_lifecycle_configuration.state.rule).noncurrent_version_expiration).noncurrent_days == 180
    error_message = "old states are kept for half a year"
  }
}

run "refuses_an_unknown_region" {
  command = plan
  variables {
    region = "atlantis"
  }
  expect_failures = [var.region]
}

run "refuses_a_strange_account" {
  command = plan
  variables {
    account_id = "me"
  }
  expect_failures = [var.account_id]
}
