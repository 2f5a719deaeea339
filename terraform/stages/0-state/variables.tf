variable "region" {
  description = "Id of the region whose state this bucket is for, as in shared/regions.json."
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
