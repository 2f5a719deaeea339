mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name        = "antiphon-eu-west"
  region      = "eu-west"
  monthly_usd = 2500
  emails      = ["ops@example.com"]
}

run "a_region" {
  assert {
    condition     = aws_budgets_budget.this.limit_amount == "2500" && aws_budgets_budget.this.limit_unit == "USD" && aws_budgets_budget.this.time_unit == "MONTHLY"
    error_message = "the limit is the month's, in dollars"
  }
  assert {
    condition     = one(aws_budgets_budget.this.cost_filter).values == tolist(["user:antiphon-region$eu-west"])
    error_message = "only costs with the region's tag count"
  }
  assert {
    condition     = toset([for telling in aws_budgets_budget.this.notification : telling.threshold if telling.notification_type == "ACTUAL"]) == toset([50, 80, 100])
    error_message = "it is told at half, at four fifths and at all of it"
  }
  assert {
    condition     = [for telling in aws_budgets_budget.this.notification : telling.threshold if telling.notification_type == "FORECASTED"] == [100]
    error_message = "it is told as soon as the month is going to be too dear"
  }
  assert {
    condition     = alltrue([for telling in aws_budgets_budget.this.notification : telling.subscriber_email_addresses == toset(["ops@example.com"])])
    error_message = "somebody is told"
  }
}

run "the_account" {
  variables {
    region = null
  }
  assert {
    condition     = length(aws_budgets_budget.this.cost_filter) == 0
    error_message = "the account's budget counts everything"
  }
}

run "refuses_a_budget_that_tells_nobody" {
  command = plan
  variables {
    emails = []
  }
  expect_failures = [var.emails]
}

run "refuses_a_budget_of_nothing" {
  command = plan
  variables {
    monthly_usd = 0
  }
  expect_failures = [var.monthly_usd]
}
