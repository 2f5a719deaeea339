mock_provider "aws" {
  source = "../../mocks"
}

variables {
  primary     = "us-east"
  account_id  = "111122223333"
  monthly_usd = 9000
  emails      = ["ops@example.com"]
}

run "global" {
  assert {
    condition     = toset([for repository in aws_ecr_repository.this : repository.name]) == toset(["antiphon/api", "antiphon/worker"])
    error_message = "there is a place for each image"
  }
  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.image_tag_mutability == "IMMUTABLE"])
    error_message = "a tag stays what it is"
  }
  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : one(repository.image_scanning_configuration).scan_on_push])
    error_message = "images are scanned"
  }
  assert {
    condition     = toset([for destination in one(one(aws_ecr_replication_configuration.this.replication_configuration).rule).destination : destination.region]) == toset(["eu-west-1", "ap-south-1"])
    error_message = "every other region has its own copy of the images"
  }
  assert {
    condition     = output.registry == "111122223333.dkr.ecr.us-east-1.amazonaws.com"
    error_message = "images are pushed to the primary's region"
  }
}

run "refuses_an_unknown_region" {
  command = plan
  variables {
    primary = "atlantis"
  }
  expect_failures = [var.primary]
}
