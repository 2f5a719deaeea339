variable "name" {
  type = string
}

variable "region" {
  description = "Id of the region whose tag the costs bear; null: the whole account."
  type        = string
  default     = null
}

variable "monthly_usd" {
  type = number

  validation {
    condition     = var.monthly_usd > 0
    error_message = "A budget is above nothing."
  }
}

variable "emails" {
  type = set(string)

  validation {
    condition     = length(var.emails) > 0 && alltrue([for email in var.emails : can(regex("^[^@[:space:]]+@[^@[:space:]]+$", email))])
    error_message = "A budget that tells nobody is none: name at least one address."
  }
}
