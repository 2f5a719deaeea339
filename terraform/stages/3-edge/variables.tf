variable "account_id" {
  type = string
}

variable "primary" {
  description = "Id of the region that this stage's state lies in."
  type        = string

  validation {
    condition     = contains(jsondecode(file("${path.module}/../../../shared/regions.json"))[*].id, var.primary)
    error_message = "No region of that id is in shared/regions.json."
  }
}

variable "regions" {
  description = "Regions that are there, by id: the host by which the edge calls each, and its bucket."
  type        = map(object({ host = string, bucket = string }))

  validation {
    condition     = length(var.regions) > 0 && alltrue([for id in keys(var.regions) : contains(jsondecode(file("${path.module}/../../../shared/regions.json"))[*].id, id)])
    error_message = "A region is not in shared/regions.json, or none is there."
  }

  validation {
    condition     = alltrue([for region in values(var.regions) : can(regex("^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", region.host))])
    error_message = "A region's host is a name, without https:// and without a path."
  }
}
