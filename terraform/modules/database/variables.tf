variable "name" {
  type = string
}

variable "role" {
  description = "`primary`, of which there is one in all regions; or `replica`."
  type        = string

  validation {
    condition     = contains(["primary", "replica"], var.role)
    error_message = "The role is primary or replica."
  }
}

variable "source_arn" {
  description = "A replica's source: ARN of the primary."
  type        = string
  default     = null

  validation {
    condition     = (var.role == "replica") == (var.source_arn != null)
    error_message = "A replica needs the ARN of its source, and a primary has none."
  }
}

variable "local_replica" {
  description = "A replica in the primary's own region. Nothing is confirmed until some replica has replayed it, so a primary without peers needs one."
  type        = bool
  default     = false

  validation {
    condition     = !(var.local_replica && var.role == "replica")
    error_message = "Only the primary's region may have a local replica."
  }
}

variable "engine_version" {
  type    = string
  default = "18"
}

variable "instance_class" {
  type    = string
  default = "db.t4g.medium"
}

variable "storage_gb" {
  type    = number
  default = 50
}

variable "max_storage_gb" {
  type    = number
  default = 500

  validation {
    condition     = var.max_storage_gb >= var.storage_gb
    error_message = "The storage's minimum is above its maximum."
  }
}

variable "multi_az" {
  type    = bool
  default = true
}

variable "backup_days" {
  description = "How far back a restore may go, to the second."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 35
    error_message = "Backups are kept 7 to 35 days."
  }
}

variable "vpc_id" {
  type = string
}

variable "subnet_ids" {
  type = list(string)
}

variable "client_group_ids" {
  description = "Security groups that may connect, by a name."
  type        = map(string)
}

variable "peer_cidrs" {
  description = "Networks of other regions, whose services write to the primary, by region id."
  type        = map(string)
  default     = {}
}

variable "kms_key_arn" {
  type = string
}

variable "password" {
  description = "Of the role `antiphon`. Not kept in the state; a replica has its source's."
  type        = string
  ephemeral   = true
  sensitive   = true
  default     = null
}

variable "password_version" {
  description = "Raise it to have a new password written."
  type        = number
  default     = 1
}
