variable "name" {
  type = string
}

variable "region" {
  type = object({ id = string, aws = string })
}

variable "emails" {
  type = set(string)

  validation {
    condition     = length(var.emails) > 0
    error_message = "Alarms that nobody hears are none: name at least one address."
  }
}

variable "kms_key_arn" {
  type = string
}

variable "balancer_suffix" {
  type = string
}

variable "target_group_suffix" {
  type = string
}

variable "database_identifier" {
  type = string
}

variable "group_names" {
  description = "Auto Scaling groups of the pools' instances."
  type        = list(string)
}

variable "backlog_jobs" {
  type    = number
  default = 1000
}

variable "wait_s" {
  description = "How long an interactive job may wait."
  type        = number
  default     = 30
}

variable "p95_s" {
  type    = number
  default = 1
}

variable "instance_hour_usd" {
  description = "Price of an instance of the pools, on demand."
  type        = number
}

variable "hourly_usd" {
  description = "The pools may cost so much an hour."
  type        = number

  validation {
    condition     = var.hourly_usd > 0
    error_message = "The pools cost something."
  }
}

variable "replica" {
  description = "Whether this region's Postgres is a replica."
  type        = bool
}
