variable "name" {
  type = string
}

variable "aws_region" {
  type = string
}

variable "names" {
  description = "Environment variables whose values are secret."
  type        = set(string)
}

variable "values" {
  description = "Value of each; not kept in the state."
  type        = map(string)
  ephemeral   = true
  sensitive   = true
}

variable "values_version" {
  description = "Raise it to have new values written."
  type        = number
  default     = 1
}
