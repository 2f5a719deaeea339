variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "aws_region" {
  type = string
}

variable "cidr" {
  description = "Addresses of this region's network; never those of a peer."
  type        = string

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && try(tonumber(split("/", var.cidr)[1]) <= 20, false)
    error_message = "The CIDR has to be one of at most /20."
  }
}

variable "zones" {
  description = "How many availability zones to spread over."
  type        = number
  default     = 2

  validation {
    condition     = var.zones >= 2 && var.zones <= 3
    error_message = "Two or three zones: one is a single point of failure."
  }
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone; otherwise one for all, which is cheaper and a single point of failure for what leaves."
  type        = bool
  default     = true
}

variable "bucket_arns" {
  description = "Buckets that may be reached through the S3 endpoint."
  type        = list(string)
}

variable "peers" {
  description = "Other regions' networks, by region id: what their own apply printed. `requests`: this side asks for the link; else it accepts `peering_id`, once that is known."
  type = map(object({
    vpc_id     = string
    cidr       = string
    aws_region = string
    requests   = bool
    peering_id = optional(string)
  }))
  default = {}

  validation {
    # Two ranges overlap exactly when the wider one's prefix is the narrower one's too.
    condition = alltrue([
      for pair in setproduct(concat([var.cidr], values(var.peers)[*].cidr), concat([var.cidr], values(var.peers)[*].cidr)) :
      pair[0] == pair[1] || try(
        cidrhost("${split("/", pair[0])[0]}/${min(tonumber(split("/", pair[0])[1]), tonumber(split("/", pair[1])[1]))}", 0)
        != cidrhost("${split("/", pair[1])[0]}/${min(tonumber(split("/", pair[0])[1]), tonumber(split("/", pair[1])[1]))}", 0),
        false,
      )
    ]) && length(distinct(concat([var.cidr], values(var.peers)[*].cidr))) == 1 + length(var.peers)
    error_message = "The CIDR of this region overlaps with a peer's, or those of two peers do."
  }
}

variable "log_days" {
  type    = number
  default = 30
}
