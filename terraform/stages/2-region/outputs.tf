output "facts" {
  description = "What other regions and the edge need to know of this one. No secrets."
  value = {
    region        = var.region
    primary       = var.primary
    vpc_id        = module.network.vpc_id
    cidr          = var.cidr
    peering_ids   = module.network.peering_ids
    database_arn  = module.database.arn
    database_host = module.database.host
    bucket        = module.bucket.name
    balancer_host = module.api.balancer_host
  }
}
