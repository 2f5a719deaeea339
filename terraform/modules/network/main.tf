data "aws_availability_zones" "here" {
  state = "available"
}

data "aws_caller_identity" "this" {}

locals {
  zones = slice(data.aws_availability_zones.here.names, 0, var.zones)
  # An eighth of the range for each subnet: private ones first, public ones (load balancer and NAT alone) from the fifth on.
  private = { for at, zone in local.zones : zone => cidrsubnet(var.cidr, 3, at) }
  public  = { for at, zone in local.zones : zone => cidrsubnet(var.cidr, 3, at + 4) }
  nats    = var.nat_per_zone ? local.zones : [local.zones[0]]
  # A link is there from when it was asked for; the other side's routes from when it was accepted.
  linked = { for id, peer in var.peers : id => peer if peer.requests || peer.peering_id != null }
  # Where the region keeps the layers of its image registry's images.
  layers = "arn:aws:s3:::prod-${var.aws_region}-starport-layer-bucket/*"
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_hostnames = true
  enable_dns_support   = true
  tags                 = { Name = var.name }
}

# Whatever forgets to name its own group can talk to nobody.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = var.name }
}

resource "aws_subnet" "private" {
  for_each                = local.private
  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false
  tags                    = { Name = "${var.name}-private-${each.key}" }
}

resource "aws_subnet" "public" {
  for_each                = local.public
  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false
  tags                    = { Name = "${var.name}-public-${each.key}" }
}

resource "aws_eip" "nat" {
  for_each = toset(local.nats)
  domain   = "vpc"
  tags     = { Name = "${var.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "this" {
  for_each      = toset(local.nats)
  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id
  tags          = { Name = "${var.name}-${each.key}" }
  depends_on    = [aws_internet_gateway.this]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-public" }
}

resource "aws_route" "out" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each       = local.public
  route_table_id = aws_route_table.public.id
  subnet_id      = aws_subnet.public[each.key].id
}

resource "aws_route_table" "private" {
  for_each = local.private
  vpc_id   = aws_vpc.this.id
  tags     = { Name = "${var.name}-private-${each.key}" }
}

resource "aws_route" "nat" {
  for_each               = local.private
  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[var.nat_per_zone ? each.key : local.zones[0]].id
}

resource "aws_route_table_association" "private" {
  for_each       = local.private
  route_table_id = aws_route_table.private[each.key].id
  subnet_id      = aws_subnet.private[each.key].id
}

# Audio goes to and from S3 without NAT (which is charged by the byte), and to no bucket of a stranger.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${var.aws_region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for zone in local.zones : aws_route_table.private[zone].id]
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OwnBuckets"
        Effect    = "Allow"
        Principal = "*"
        Action    = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"]
        Resource  = concat(var.bucket_arns, [for arn in var.bucket_arns : "${arn}/*"])
        Condition = { StringEquals = { "aws:PrincipalAccount" = data.aws_caller_identity.this.account_id } }
      },
      {
        Sid       = "ImageLayers"
        Effect    = "Allow"
        Principal = "*"
        Action    = ["s3:GetObject"]
        Resource  = [local.layers]
      },
    ]
  })
  tags = { Name = "${var.name}-s3" }
}

# ---- who may talk to whom: the API and the keeper are `services`, the pools `workers`; neither is reached but by rules of their own.

resource "aws_security_group" "services" {
  name_prefix = "${var.name}-services-"
  description = "API and keeper"
  vpc_id      = aws_vpc.this.id
  lifecycle { create_before_destroy = true }
}

resource "aws_security_group" "workers" {
  name_prefix = "${var.name}-workers-"
  description = "Workers: reached by nobody"
  vpc_id      = aws_vpc.this.id
  lifecycle { create_before_destroy = true }
}

locals {
  # AWS's own endpoints, the edge and S3 speak TLS; queue and database are inside, the latter also in peers.
  leaving = merge(
    { for group in ["services", "workers"] : "${group}-https" => { group = group, port = 443, cidr = "0.0.0.0/0" } },
    # The other port that webhooks may be sent to.
    { "services-webhooks" = { group = "services", port = 8443, cidr = "0.0.0.0/0" } },
    { for group in ["services", "workers"] : "${group}-queue" => { group = group, port = 6379, cidr = var.cidr } },
    { for at, cidr in concat([var.cidr], values(var.peers)[*].cidr) : "services-database-${at}" => { group = "services", port = 5432, cidr = cidr } },
  )
}

resource "aws_vpc_security_group_egress_rule" "leaving" {
  for_each          = local.leaving
  security_group_id = each.value.group == "services" ? aws_security_group.services.id : aws_security_group.workers.id
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv4         = each.value.cidr
}

# ---- links to other regions, for Postgres alone

resource "aws_vpc_peering_connection" "asked" {
  for_each    = { for id, peer in var.peers : id => peer if peer.requests }
  vpc_id      = aws_vpc.this.id
  peer_vpc_id = each.value.vpc_id
  peer_region = each.value.aws_region
  auto_accept = false
  tags        = { Name = "${var.name}-${each.key}" }
}

resource "aws_vpc_peering_connection_accepter" "accepted" {
  for_each                  = { for id, peer in var.peers : id => peer if !peer.requests && peer.peering_id != null }
  vpc_peering_connection_id = each.value.peering_id
  auto_accept               = true
  tags                      = { Name = "${var.name}-${each.key}" }
}

locals {
  links = {
    for id, peer in local.linked : id =>
    peer.requests ? aws_vpc_peering_connection.asked[id].id : aws_vpc_peering_connection_accepter.accepted[id].id
  }
  link_routes = { for pair in setproduct(local.zones, keys(local.linked)) : "${pair[0]}-${pair[1]}" => { zone = pair[0], peer = pair[1] } }
}

resource "aws_route" "peer" {
  for_each                  = local.link_routes
  route_table_id            = aws_route_table.private[each.value.zone].id
  destination_cidr_block    = var.peers[each.value.peer].cidr
  vpc_peering_connection_id = local.links[each.value.peer]
}

# ---- what went over the network

resource "aws_cloudwatch_log_group" "flow" {
  name              = "/antiphon/${var.name}/flow"
  retention_in_days = var.log_days
}

resource "aws_iam_role" "flow" {
  name = "${var.name}-flow"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "vpc-flow-logs.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "flow" {
  name = "write"
  role = aws_iam_role.flow.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
      Resource = ["${aws_cloudwatch_log_group.flow.arn}:*"]
    }]
  })
}

resource "aws_flow_log" "rejected" {
  vpc_id          = aws_vpc.this.id
  traffic_type    = "REJECT"
  log_destination = aws_cloudwatch_log_group.flow.arn
  iam_role_arn    = aws_iam_role.flow.arn
}
