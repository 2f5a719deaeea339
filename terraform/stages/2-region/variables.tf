variable "region" {
  description = "Id of the region to apply, as in shared/regions.json."
  type        = string

  validation {
    condition     = contains(jsondecode(file("${path.module}/../../../shared/regions.json"))[*].id, var.region)
    error_message = "No region of that id is in shared/regions.json."
  }
}

variable "account_id" {
  type = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An AWS account id has twelve digits."
  }
}

variable "primary" {
  description = "Whether this region's Postgres is the primary."
  type        = bool
}

variable "cidr" {
  type = string
}

variable "peers" {
  description = "What the other regions' own applies printed as `facts`, by region id. A region that is lost stays in here: nothing asks it."
  type = map(object({
    primary       = bool
    vpc_id        = string
    cidr          = string
    database_arn  = string
    database_host = string
    # Links that the other region asked for, by the id of whom it asked.
    peering_ids = optional(map(string), {})
  }))
  default = {}

  validation {
    condition     = alltrue([for id in keys(var.peers) : contains(jsondecode(file("${path.module}/../../../shared/regions.json"))[*].id, id)])
    error_message = "A peer is not in shared/regions.json."
  }

  validation {
    condition     = !contains(keys(var.peers), var.region)
    error_message = "A region is not its own peer."
  }

  validation {
    condition     = length([for peer in values(var.peers) : peer if peer.primary]) + (var.primary ? 1 : 0) <= 1
    error_message = "Two regions claim to be the primary. There is one: take `primary` from the other first, and read in README what a promotion means."
  }

  validation {
    condition     = var.primary || anytrue([for peer in values(var.peers) : peer.primary])
    error_message = "No region is the primary: a replica needs its source. Apply the primary's region first."
  }
}

variable "edge" {
  description = "Where the region reaches the edge, and from which addresses it is called by it."
  type        = object({ url = string, cidrs = set(string) })
}

variable "certificate_arn" {
  type = string
}

variable "version_tag" {
  description = "Tag of the images antiphon/api and antiphon/worker."
  type        = string
}

variable "gpu" {
  type    = bool
  default = true
}

variable "instance_types" {
  type    = list(string)
  default = ["g4dn.xlarge", "g5.xlarge", "g6.xlarge"]
}

variable "pools" {
  description = "The pools of workers, by name; by default the one of shared/policies/scale.ts that takes all jobs."
  type = map(object({
    min            = optional(number, 5)
    max            = optional(number, 50)
    warm           = optional(number, 0)
    on_demand_base = optional(number, 5)
  }))
  default = { jobs = {} }

  validation {
    condition     = length(var.pools) > 0 && alltrue([for pool in values(var.pools) : pool.min <= pool.max])
    error_message = "A pool's minimum is above its maximum, or there is no pool."
  }
}

variable "concurrency" {
  type    = number
  default = 4
}

variable "queue" {
  type = object({
    engine    = optional(string, "memorydb")
    node_type = optional(string, "r7g.large")
    replicas  = optional(number, 1)
  })
  default = {}
}

variable "database" {
  type = object({
    instance_class = optional(string, "db.m7g.large")
    storage_gb     = optional(number, 100)
    multi_az       = optional(bool, true)
    backup_days    = optional(number, 14)
    local_replica  = optional(bool, false)
  })
  default = {}
}

variable "api" {
  type    = object({ min = optional(number, 2), max = optional(number, 10) })
  default = {}
}

variable "nat_per_zone" {
  type    = bool
  default = true
}

variable "upload_origins" {
  type    = list(string)
  default = []
}

variable "retention_days" {
  type    = number
  default = null
}

variable "use_case" {
  type    = string
  default = "voice-analysis"
}

variable "costs" {
  description = "What a month may cost here, what the pools may cost an hour, and an instance of them."
  type        = object({ monthly_usd = number, hourly_usd = number, instance_hour_usd = number })
}

variable "emails" {
  type = set(string)
}

variable "queue_password" {
  type      = string
  sensitive = true
}

variable "database_password" {
  type      = string
  sensitive = true
  ephemeral = true

  validation {
    condition     = can(regex("^[A-Za-z0-9]{24,128}$", var.database_password))
    error_message = "The database's password has to be 24 to 128 letters and digits."
  }
}

variable "link_secrets" {
  description = "Of the link between the edge and this region, comma-separated: the first signs, all verify."
  type        = string
  sensitive   = true
  ephemeral   = true

  validation {
    condition     = alltrue([for secret in split(",", var.link_secrets) : length(secret) >= 32])
    error_message = "Each secret of the link has 32 characters at least."
  }
}

variable "webhook_keys" {
  description = "Keys that webhooks' secrets are sealed with, base64 of 32 bytes each, comma-separated; the same in every region."
  type        = string
  sensitive   = true
  ephemeral   = true

  validation {
    condition     = alltrue([for key in split(",", var.webhook_keys) : can(regex("^[A-Za-z0-9+/]{43}=$", key))])
    error_message = "Each webhook key is base64 of 32 bytes."
  }
}

variable "bootstrap_tenants" {
  description = "JSON of the first tenants and keys, for the primary's keeper alone; [] for none."
  type        = string
  sensitive   = true
  ephemeral   = true
}

variable "secrets_version" {
  description = "Raise it to have passwords and secrets written anew."
  type        = number
  default     = 1
}
