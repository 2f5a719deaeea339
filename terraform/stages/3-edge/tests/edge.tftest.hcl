mock_provider "aws" {
  source = "../../mocks"
}

variables {
  account_id = "111122223333"
  primary    = "us-east"
  regions = {
    us-east = { host = "us-east.voice.example.com", bucket = "antiphon-us-east-111122223333" }
    eu-west = { host = "eu-west.voice.example.com", bucket = "antiphon-eu-west-111122223333" }
  }
}

run "edge" {
  assert {
    condition     = output.endpoints["eu-west"] == { api = "https://eu-west.voice.example.com", objects = "https://s3.eu-west-1.amazonaws.com", public_objects = "https://s3.eu-west-1.amazonaws.com", bucket = "antiphon-eu-west-111122223333", aws_region = "eu-west-1" }
    error_message = "the edge is told where eu-west is, by TLS"
  }
  assert {
    condition     = output.users == { us-east = "antiphon-edge-us-east", eu-west = "antiphon-edge-eu-west" }
    error_message = "each bucket has a user of its own"
  }
  assert {
    condition     = alltrue([for id, policy in aws_iam_user_policy.edge : alltrue([for statement in jsondecode(policy.policy).Statement : alltrue([for resource in statement.Resource : startswith(resource, "arn:aws:s3:::antiphon-${id}-111122223333/")])])])
    error_message = "a key of one region opens no other region's bucket"
  }
  assert {
    condition     = alltrue([for policy in aws_iam_user_policy.edge : alltrue([for statement in jsondecode(policy.policy).Statement : alltrue([for action in statement.Action : contains(["s3:PutObject", "s3:GetObject"], action)])])])
    error_message = "the edge can put and get, and nothing else"
  }
  assert {
    condition     = alltrue([for policy in aws_iam_user_policy.edge : one([for statement in jsondecode(policy.policy).Statement : length(statement.Resource) if contains(statement.Action, "s3:PutObject")]) == 1])
    error_message = "the edge writes uploads alone"
  }
  assert {
    condition     = toset(output.secrets) == toset(["LINK_SECRETS", "AUDIO_URL_KEYS", "REGION_ENDPOINTS"])
    error_message = "every secret that the edge needs is named"
  }
}

run "refuses_an_unknown_region" {
  command = plan
  variables {
    regions = { atlantis = { host = "a.example.com", bucket = "antiphon-atlantis-111122223333" } }
  }
  expect_failures = [var.regions]
}

run "refuses_a_url_for_a_host" {
  command = plan
  variables {
    regions = { us-east = { host = "https://a.example.com/", bucket = "antiphon-us-east-111122223333" } }
  }
  expect_failures = [var.regions]
}

run "refuses_an_unknown_primary" {
  command = plan
  variables {
    primary = "atlantis"
  }
  expect_failures = [var.primary]
}
