variable "name" {
  type = string
}

variable "engine" {
  description = "`memorydb` has every write on disk in several zones before it answers. `elasticache` copies to replicas afterwards: what was accepted in the last moment before a primary dies is lost."
  type        = string
  default     = "memorydb"

  validation {
    condition     = contains(["memorydb", "elasticache"], var.engine)
    error_message = "The engine is memorydb or elasticache."
  }
}

variable "node_type" {
  description = "Without the leading `db.` or `cache.`."
  type        = string
  default     = "t4g.small"
}

variable "replicas" {
  description = "Nodes beside the primary. MemoryDB keeps everything without one too, but a new node then takes minutes."
  type        = number
  default     = 1

  validation {
    condition     = var.replicas >= 0 && var.replicas <= 5
    error_message = "There may be five replicas at most."
  }

  validation {
    condition     = var.engine != "elasticache" || var.replicas >= 1
    error_message = "ElastiCache keeps nothing on disk: without a replica, a primary that dies takes the queue with it."
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

variable "kms_key_arn" {
  type = string
}

variable "password" {
  description = "MemoryDB and ElastiCache offer no way to give it that leaves it out of the state; the state is encrypted."
  type        = string
  sensitive   = true

  validation {
    condition     = can(regex("^[A-Za-z0-9]{32,128}$", var.password))
    error_message = "The queue's password has to be 32 to 128 letters and digits."
  }
}

variable "snapshot_days" {
  type    = number
  default = 7
}
