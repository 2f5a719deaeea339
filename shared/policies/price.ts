/** US dollars per second of compute and per second of stored audio; a table, so that deployments can set their own. */
export interface PriceTable {
  cpu_second_usd: number;
}

/**
 * What a deployment's parts cost in US dollars, by the hour unless the name says otherwise: rounded list prices of AWS in N. Virginia, from
 * memory and without tax, to be held against the calculator of the day. Other regions cost up to a fifth more.
 */
export const partPrices = {
  vcpu_usd: 0.04,
  gb_usd: 0.0045,
  instance_usd: {
    "g4dn.xlarge": 0.526,
    "g5.xlarge": 1.006,
    "g6.xlarge": 0.805,
    "c7i.xlarge": 0.179,
    "c6i.xlarge": 0.17,
  } as Readonly<Record<string, number>>,
  /** Of the price on demand. */
  spot_share: 0.4,
  queue_node_usd: { "t4g.small": 0.05, "t4g.medium": 0.1, "r7g.large": 0.309 } as Readonly<
    Record<string, number>
  >,
  /** A server without a standby. */
  database_usd: {
    "db.t4g.small": 0.032,
    "db.t4g.medium": 0.065,
    "db.m7g.large": 0.168,
  } as Readonly<Record<string, number>>,
  database_gb_month_usd: 0.115,
  disk_gb_month_usd: 0.08,
  object_gb_month_usd: 0.023,
  balancer_usd: 0.03,
  nat_usd: 0.045,
  address_usd: 0.005,
  key_month_usd: 1,
  secret_month_usd: 0.4,
  alarm_month_usd: 0.1,
  metric_month_usd: 0.3,
  log_gb_usd: 0.5,
  edge_month_usd: 5,
  edge_million_requests_usd: 0.3,
};

/** A shared vCPU-second, on demand. */
export const defaultPrices: PriceTable = { cpu_second_usd: partPrices.vcpu_usd / 3600 };
