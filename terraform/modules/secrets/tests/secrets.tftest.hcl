mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name       = "antiphon-eu-west"
  aws_region = "eu-west-1"
  names      = ["REDIS_URL", "LINK_SECRETS"]
  values     = { REDIS_URL = "rediss://a:b@c:6379", LINK_SECRETS = "0123456789abcdef0123456789abcdef" }
}

run "secrets" {
  assert {
    condition     = aws_kms_key.this.enable_key_rotation
    error_message = "the key rotates"
  }
  assert {
    condition     = aws_kms_key.this.deletion_window_in_days == 30
    error_message = "the key can be had back for a month"
  }
  assert {
    condition     = alltrue([for statement in jsondecode(aws_kms_key.this.policy).Statement : !contains(flatten([values(statement.Principal)]), "*")])
    error_message = "no stranger may use the key"
  }
  assert {
    condition     = alltrue([for statement in jsondecode(aws_kms_key.this.policy).Statement : can(statement.Condition) if contains(keys(statement.Principal), "Service")])
    error_message = "services use the key for this account alone"
  }
  assert {
    condition     = alltrue([for secret in aws_secretsmanager_secret.this : secret.kms_key_id == aws_kms_key.this.arn])
    error_message = "secrets are encrypted with the region's key"
  }
  assert {
    condition     = keys(output.arns) == ["LINK_SECRETS", "REDIS_URL"]
    error_message = "each secret has a place"
  }
  assert {
    condition     = alltrue([for version in aws_secretsmanager_secret_version.this : version.secret_string == null || version.secret_string == ""])
    error_message = "no secret's value is in the state"
  }
}
