output "endpoints" {
  description = "REGION_ENDPOINTS of edge/env.ts, but for access_key_id and secret_access_key."
  value = {
    for id, region in var.regions : id => {
      api            = "https://${region.host}"
      objects        = "https://s3.${local.known[id].aws}.amazonaws.com"
      public_objects = "https://s3.${local.known[id].aws}.amazonaws.com"
      bucket         = region.bucket
      aws_region     = local.known[id].aws
    }
  }
}

output "users" {
  description = "Whose access keys the edge needs, by region id."
  value       = { for id, user in aws_iam_user.edge : id => user.name }
}

output "secrets" {
  description = "What to set with `wrangler secret put`."
  value       = ["LINK_SECRETS", "AUDIO_URL_KEYS", "REGION_ENDPOINTS"]
}
