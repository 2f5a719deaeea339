variable "primary" {
  description = "Id of the region that this stage's state and the registry's originals lie in."
  type        = string

  validation {
    condition     = contains(jsondecode(file("${path.module}/../../../shared/regions.json"))[*].id, var.primary)
    error_message = "No region of that id is in shared/regions.json."
  }
}

variable "account_id" {
  type = string
}

variable "monthly_usd" {
  description = "What the whole account may cost a month."
  type        = number
}

variable "emails" {
  type = set(string)
}
