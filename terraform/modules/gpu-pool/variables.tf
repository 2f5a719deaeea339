variable "name" {
  description = "Prefix of the region's names."
  type        = string
}

variable "pool" {
  description = "Which pool: jobs, batch."
  type        = string
}

variable "region" {
  type = object({ id = string, aws = string })
}

variable "cluster_name" {
  type = string
}

variable "cluster_arn" {
  type = string
}

variable "instance_types" {
  description = "The first that can be had at a good price; all with one GPU, since one worker takes one."
  type        = list(string)
  default     = ["g4dn.xlarge", "g5.xlarge", "g6.xlarge"]

  validation {
    condition     = length(var.instance_types) >= 2
    error_message = "Name several instance types: a single one runs out, on spot first of all."
  }
}

variable "gpu" {
  description = "False: workers on the CPU, for pools without GPUs; name instance types to match."
  type        = bool
  default     = true
}

variable "min" {
  type    = number
  default = 5

  validation {
    condition     = var.min >= 0 && floor(var.min) == var.min
    error_message = "The minimum is a whole number from 0 up."
  }
}

variable "max" {
  type    = number
  default = 50

  validation {
    condition     = var.max >= var.min && var.max >= 1
    error_message = "The pool's minimum is above its maximum."
  }
}

variable "on_demand_base" {
  description = "So many instances are on demand before the first one is spot."
  type        = number
  default     = 5
}

variable "on_demand_percent" {
  description = "Share of the others that is on demand too."
  type        = number
  default     = 0
}

variable "warm" {
  description = "Instances kept stopped and prepared. EC2 allows them in groups without spot alone, so a pool with warm ones has its on-demand base in a group of its own."
  type        = number
  default     = 0

  validation {
    condition     = var.warm == 0 || var.on_demand_base >= 1
    error_message = "Warm instances wait for the on-demand base: that has to be 1 at least."
  }
}

variable "subnet_ids" {
  description = "Private ones."
  type        = list(string)
}

variable "group_id" {
  description = "Security group of workers."
  type        = string
}

variable "image" {
  description = "The worker's image, by tag or digest."
  type        = string

  validation {
    condition     = can(regex("(@sha256:[0-9a-f]{64}|:[A-Za-z0-9._-]+)$", var.image)) && !endswith(var.image, ":latest")
    error_message = "The image needs a tag that stays what it is, or a digest; not :latest."
  }
}

variable "bucket_arn" {
  type = string
}

variable "bucket" {
  type = string
}

variable "secret_arns" {
  description = "Secrets of a worker, by the name of their variable."
  type        = map(string)
}

variable "kms_key_arn" {
  type = string
}

variable "model_memory_mb" {
  type    = number
  default = 8192
}

variable "concurrency" {
  description = "Jobs that one worker runs at once."
  type        = number
  default     = 4
}

variable "stop_timeout_s" {
  description = "How long a worker may go on after it was told to stop; spot gives two minutes."
  type        = number
  default     = 110
}

variable "log_days" {
  type    = number
  default = 30
}
