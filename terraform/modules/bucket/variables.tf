variable "bucket" {
  description = "Name of the bucket."
  type        = string
}

variable "region" {
  description = "Id and jurisdiction of the region that the bucket lies in, as in regions.json."
  type        = object({ id = string, jurisdiction = string })
}

variable "use_case" {
  description = "What the content is for; a tag, by which costs are told apart."
  type        = string
  default     = "voice-analysis"
}

variable "replicate_to" {
  description = "Buckets of other regions, by region id, which are there already."
  type        = map(object({ bucket_arn = string, jurisdiction = string }))
  default     = {}

  validation {
    condition     = !contains(keys(var.replicate_to), var.region.id)
    error_message = "A bucket does not replicate to its own region."
  }
}

variable "upload_origins" {
  description = "Web origins whose pages may upload straight to the bucket."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for origin in var.upload_origins : can(regex("^https://[a-z0-9.-]+(:[0-9]+)?$", origin))])
    error_message = "Origins are https://HOST, without * and without a path."
  }
}

variable "archive_after_days" {
  description = "Uploads that are large enough move to Glacier Instant Retrieval after so many days."
  type        = number
  default     = 7
}

variable "archive_from_bytes" {
  description = "From this size on moving pays, where an object lives 30 days: see ARCHITECTURE."
  type        = number
  default     = 8388608

  validation {
    condition     = var.archive_from_bytes >= 131072
    error_message = "Glacier Instant Retrieval counts every object as 128 KiB at least."
  }
}

variable "upload_days" {
  description = "Uploads are deleted after so many days. What an analysis needs for longer it has copied to audio/."
  type        = number
  default     = 30

  validation {
    condition     = var.upload_days > var.archive_after_days
    error_message = "Uploads would be deleted before they are archived."
  }
}

variable "uploads_are_tagged" {
  description = "Every upload bears the tag keep=yes or keep=no; then only those with keep=no are deleted. A lifecycle cannot say `unless`, so without tags it deletes all."
  type        = bool
  default     = false
}

variable "retention_days" {
  description = "How long results, kept audio and speech live at most, whatever tenants ask for; null: until they are deleted."
  type        = number
  default     = null

  validation {
    condition     = var.retention_days == null || try(var.retention_days >= var.upload_days, false)
    error_message = "The retention is below the lifecycle of uploads: a result would be gone before what it was made from."
  }
}
