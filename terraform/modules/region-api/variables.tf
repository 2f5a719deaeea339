variable "name" {
  type = string
}

variable "region" {
  type = object({ id = string, aws = string })
}

variable "cluster_arn" {
  type = string
}

variable "cluster_name" {
  type = string
}

variable "vpc_id" {
  type = string
}

variable "public_subnet_ids" {
  description = "For the load balancer alone."
  type        = list(string)
}

variable "private_subnet_ids" {
  type = list(string)
}

variable "services_group_id" {
  type = string
}

variable "edge_cidrs" {
  description = "Addresses that Cloudflare calls from (https://www.cloudflare.com/ips-v4)."
  type        = set(string)

  validation {
    condition     = length(var.edge_cidrs) > 0 && alltrue([for cidr in var.edge_cidrs : can(cidrhost(cidr, 0)) && try(tonumber(split("/", cidr)[1]) >= 8, false)])
    error_message = "Name the edge's addresses; none of them wider than /8: only the edge may call."
  }
}

variable "certificate_arn" {
  description = "An issued certificate for the host by which the edge calls this region."
  type        = string

  validation {
    condition     = can(regex("^arn:aws:acm:[a-z0-9-]+:[0-9]{12}:certificate/", var.certificate_arn)) && strcontains(var.certificate_arn, ":${var.region.aws}:")
    error_message = "The certificate has to be one of ACM in this very region."
  }
}

variable "image" {
  type = string

  validation {
    condition     = can(regex("(@sha256:[0-9a-f]{64}|:[A-Za-z0-9._-]+)$", var.image)) && !endswith(var.image, ":latest")
    error_message = "The image needs a tag that stays what it is, or a digest; not :latest."
  }
}

variable "collector_image" {
  description = "OpenTelemetry collector that carries /metrics to CloudWatch."
  type        = string
  default     = "public.ecr.aws/aws-observability/aws-otel-collector:v0.45.1"
}

variable "edge_url" {
  description = "Where this region reaches the edge."
  type        = string

  validation {
    condition     = startswith(var.edge_url, "https://")
    error_message = "The edge is reached by https."
  }
}

variable "bucket" {
  type = string
}

variable "bucket_arn" {
  type = string
}

variable "secret_arns" {
  description = "Secrets by the name of their variable: REDIS_URL, DATABASE_URL, DATABASE_REPLICA_URL, LINK_SECRETS, WEBHOOK_KEYS, and BOOTSTRAP_TENANTS where there are tenants to make."
  type        = map(string)

  validation {
    condition     = alltrue([for name in ["REDIS_URL", "DATABASE_URL", "DATABASE_REPLICA_URL", "LINK_SECRETS", "WEBHOOK_KEYS"] : contains(keys(var.secret_arns), name)])
    error_message = "REDIS_URL, DATABASE_URL, DATABASE_REPLICA_URL, LINK_SECRETS and WEBHOOK_KEYS have to be there."
  }
}

variable "kms_key_arn" {
  type = string
}

variable "min" {
  description = "Tasks of the API."
  type        = number
  default     = 2

  validation {
    condition     = var.min >= 1 && var.max >= var.min
    error_message = "The API's minimum is 1 at least, and not above its maximum."
  }
}

variable "max" {
  type    = number
  default = 10
}

variable "log_days" {
  type    = number
  default = 30
}
