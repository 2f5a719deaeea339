mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name        = "antiphon-eu-west"
  aws_region  = "eu-west-1"
  cidr        = "10.20.0.0/16"
  bucket_arns = ["arn:aws:s3:::antiphon-eu-west-111122223333"]
}

run "a_region_alone" {
  assert {
    condition     = alltrue([for subnet in aws_subnet.private : !subnet.map_public_ip_on_launch])
    error_message = "private subnets give no public address"
  }
  assert {
    condition     = alltrue([for subnet in aws_subnet.public : !subnet.map_public_ip_on_launch])
    error_message = "public subnets give no public address by themselves"
  }
  assert {
    condition     = length(aws_subnet.private) == 2 && length(distinct([for subnet in aws_subnet.private : subnet.availability_zone])) == 2
    error_message = "private subnets lie in two zones"
  }
  assert {
    condition     = alltrue([for route in aws_route.nat : route.gateway_id == null])
    error_message = "private subnets have no way through the internet gateway"
  }
  assert {
    condition     = length(distinct([for route in aws_route.nat : route.nat_gateway_id])) == 2
    error_message = "each zone leaves through its own NAT"
  }
  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && length(aws_vpc_endpoint.s3.route_table_ids) == 2
    error_message = "S3 is reached through a gateway endpoint from every private subnet"
  }
  assert {
    condition     = !contains(flatten([for statement in jsondecode(aws_vpc_endpoint.s3.policy).Statement : statement.Resource]), "*")
    error_message = "the S3 endpoint leads to named buckets alone"
  }
  assert {
    condition     = jsondecode(aws_vpc_endpoint.s3.policy).Statement[0].Condition.StringEquals["aws:PrincipalAccount"] == "111122223333"
    error_message = "the S3 endpoint serves this account alone"
  }
  assert {
    condition     = length(aws_default_security_group.closed.ingress) == 0 && length(aws_default_security_group.closed.egress) == 0
    error_message = "the default security group lets nothing through"
  }
  assert {
    condition     = toset([for rule in aws_vpc_security_group_egress_rule.leaving : rule.from_port if rule.cidr_ipv4 == "0.0.0.0/0"]) == toset([443, 8443]) && length([for name, rule in aws_vpc_security_group_egress_rule.leaving : name if startswith(name, "workers-") && rule.from_port == 8443]) == 0
    error_message = "only TLS leaves the network"
  }
  assert {
    condition     = alltrue([for name, rule in aws_vpc_security_group_egress_rule.leaving : rule.from_port == rule.to_port && rule.ip_protocol == "tcp"])
    error_message = "each rule opens one port"
  }
  assert {
    condition     = length([for name, rule in aws_vpc_security_group_egress_rule.leaving : name if startswith(name, "workers-") && rule.from_port == 5432]) == 0
    error_message = "workers do not reach the database"
  }
  assert {
    condition     = aws_flow_log.rejected.traffic_type == "REJECT"
    error_message = "refused packets are logged"
  }
  assert {
    condition     = length(regexall("\\*\"", jsonencode(flatten([for statement in jsondecode(aws_iam_role_policy.flow.policy).Statement : statement.Action])))) == 0
    error_message = "the flow log's role has no wildcard action"
  }
}

run "one_nat_when_told" {
  variables {
    nat_per_zone = false
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == 2
    error_message = "one NAT serves all zones"
  }
}

run "peers" {
  variables {
    peers = {
      us-east  = { vpc_id = "vpc-1", cidr = "10.10.0.0/16", aws_region = "us-east-1", requests = true }
      ap-south = { vpc_id = "vpc-2", cidr = "10.30.0.0/16", aws_region = "ap-south-1", requests = false, peering_id = "pcx-2" }
      later    = { vpc_id = "vpc-3", cidr = "10.40.0.0/16", aws_region = "eu-north-1", requests = false }
    }
  }
  assert {
    condition     = keys(aws_vpc_peering_connection.asked) == ["us-east"] && aws_vpc_peering_connection.asked["us-east"].peer_region == "us-east-1"
    error_message = "the later region asks for the link, in the other's region"
  }
  assert {
    condition     = keys(aws_vpc_peering_connection_accepter.accepted) == ["ap-south"] && aws_vpc_peering_connection_accepter.accepted["ap-south"].auto_accept
    error_message = "a link that is known is accepted"
  }
  assert {
    condition     = toset([for route in aws_route.peer : route.destination_cidr_block]) == toset(["10.10.0.0/16", "10.30.0.0/16"]) && length(aws_route.peer) == 4
    error_message = "each private subnet has a route to each linked peer"
  }
  assert {
    condition     = toset([for rule in aws_vpc_security_group_egress_rule.leaving : rule.from_port if contains(["10.10.0.0/16", "10.30.0.0/16", "10.40.0.0/16"], rule.cidr_ipv4)]) == toset([5432])
    error_message = "only Postgres crosses to peers"
  }
}

run "refuses_a_peer_inside_its_own_range" {
  command = plan
  variables {
    peers = { us-east = { vpc_id = "vpc-1", cidr = "10.20.128.0/20", aws_region = "us-east-1", requests = true } }
  }
  expect_failures = [var.peers]
}

run "refuses_a_peer_with_the_same_range" {
  command = plan
  variables {
    peers = { us-east = { vpc_id = "vpc-1", cidr = "10.20.0.0/16", aws_region = "us-east-1", requests = true } }
  }
  expect_failures = [var.peers]
}

run "refuses_two_peers_that_overlap" {
  command = plan
  variables {
    peers = {
      us-east  = { vpc_id = "vpc-1", cidr = "10.0.0.0/12", aws_region = "us-east-1", requests = true }
      ap-south = { vpc_id = "vpc-2", cidr = "10.10.0.0/16", aws_region = "ap-south-1", requests = true }
    }
  }
  expect_failures = [var.peers]
}

run "refuses_a_range_that_is_too_small" {
  command = plan
  variables {
    cidr = "10.20.0.0/24"
  }
  expect_failures = [var.cidr]
}

run "refuses_a_single_zone" {
  command = plan
  variables {
    zones = 1
  }
  expect_failures = [var.zones]
}
