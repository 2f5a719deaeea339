variable "name" {
  description = "Prefix of names; the pool's."
  type        = string
}

variable "region" {
  description = "Id of the region; a dimension of the metrics."
  type        = string
}

variable "cluster_name" {
  type = string
}

variable "service_name" {
  type = string
}

# The defaults are those of jobPool in shared/policies/scale.ts; a test holds the two together.

variable "min" {
  type    = number
  default = 5

  validation {
    condition     = var.min >= 0
    error_message = "The minimum is 0 at least."
  }
}

variable "max" {
  type    = number
  default = 50

  validation {
    condition     = var.max >= var.min
    error_message = "The scaler's minimum is above its maximum."
  }
}

variable "steps" {
  description = "From so many waiting jobs on, so many workers more. Ascending."
  type        = list(object({ from_waiting = number, add = number }))
  default = [
    { from_waiting = 50, add = 1 },
    { from_waiting = 100, add = 3 },
    { from_waiting = 500, add = 10 },
  ]

  validation {
    condition     = length(var.steps) > 0 && alltrue([for at in range(1, length(var.steps)) : var.steps[at].from_waiting > var.steps[at - 1].from_waiting])
    error_message = "Steps ascend, and there is one at least."
  }
}

variable "target_percent" {
  description = "Share of the workers' slots that should be in use."
  type        = number
  default     = 70

  validation {
    condition     = var.target_percent >= 10 && var.target_percent <= 95
    error_message = "The target lies between 10 and 95 %."
  }
}

variable "scale_out_cooldown_s" {
  type    = number
  default = 60
}

variable "scale_in_cooldown_s" {
  type    = number
  default = 300

  validation {
    condition     = var.scale_in_cooldown_s >= var.scale_out_cooldown_s
    error_message = "A pool shrinks no faster than it grows: it would swing."
  }
}

variable "concurrency" {
  description = "Jobs that one worker runs at once."
  type        = number
  default     = 4
}
