import { defaultPrices, partPrices as price } from "../../shared/policies/price.ts";
import type { RegionSettings, Settings } from "./settings.ts";

const HOURS = 730;

export interface CostItem {
  region: string;
  what: string;
  usd: number;
}

export interface Load {
  requestsPerDay: number;
  /** Compute-seconds of a request. */
  secondsEach: number;
  /** Megabytes of a request's audio, kept 30 days as an upload and once as audio. */
  megabytesEach: number;
}

/**
 * What a month of a deployment costs, by the price table that jobs are priced by: everything that settings ask for at its minimum, and
 * the instances that the load needs above it, on spot. Traffic to clients is the edge's, which charges none.
 * @throws Error for an instance, node or server class that the table has no price of
 */
export function estimateCost(settings: Settings, load: Load): CostItem[] {
  const ids = Object.keys(settings.regions);
  const share = { ...load, requestsPerDay: load.requestsPerDay / ids.length };
  return [
    ...ids.flatMap((id) => costOfRegion(id, settings.regions[id]!, share)),
    {
      region: "edge",
      what: "Workers, KV and Durable Objects",
      usd:
        price.edge_month_usd +
        Math.max(0, (load.requestsPerDay * 30 * 4) / 1e6 - 10) * price.edge_million_requests_usd,
    },
  ];
}

/** What the same load's jobs are priced at. */
export function priceOfJobs({ requestsPerDay, secondsEach }: Load): number {
  return requestsPerDay * 30 * secondsEach * defaultPrices.cpu_second_usd;
}

function costOfRegion(region: string, of: RegionSettings, load: Load): CostItem[] {
  const item = (what: string, usd: number): CostItem => ({ region, what, usd });
  const instance = known(price.instance_usd, of.instance_types[0]!);
  const disk = 100 * price.disk_gb_month_usd;
  const pools = Object.values(of.pools).map(({ min = 5, on_demand_base = 5, warm = 0 }) => ({
    onDemand: Math.min(min, on_demand_base),
    spot: Math.max(0, min - on_demand_base),
    warm,
  }));
  const onDemand = sum(pools, (pool) => pool.onDemand);
  const spot = sum(pools, (pool) => pool.spot);
  const warm = sum(pools, (pool) => pool.warm);
  const needed =
    (load.requestsPerDay * load.secondsEach) / 86_400 / of.concurrency / 0.7; /* target */
  const above = Math.max(0, needed - onDemand - spot);
  const server =
    known(price.database_usd, of.database.instance_class) * HOURS +
    of.database.storage_gb * price.database_gb_month_usd;
  const servers = (of.database.multi_az ? 2 : 1) + (of.database.local_replica ? 1 : 0);
  const zones = 2;
  const nats = of.nat_per_zone ? zones : 1;
  const tasks = of.api.min * (1 * price.vcpu_usd + 3 * price.gb_usd);
  const keeper = 0.5 * price.vcpu_usd + 1 * price.gb_usd;
  const stored = (load.requestsPerDay * load.megabytesEach * 30 * 2) / 1024;
  return [
    item(
      `workers, ${onDemand} on demand and ${warm} warm`,
      onDemand * (instance * HOURS + disk) + warm * disk,
    ),
    item(
      `workers on spot, ${(spot + above).toFixed(1)} on average`,
      (spot + above) * (instance * price.spot_share * HOURS + disk),
    ),
    item(`API and keeper, ${of.api.min + 1} tasks`, (tasks + keeper) * HOURS),
    item(
      `queue, ${of.queue.replicas + 1} nodes ${of.queue.node_type}`,
      (of.queue.replicas + 1) * known(price.queue_node_usd, of.queue.node_type) * HOURS,
    ),
    item(`Postgres, ${servers} servers ${of.database.instance_class}`, servers * server),
    item(
      `load balancer, ${nats} NAT, ${nats + zones} addresses`,
      (price.balancer_usd + nats * price.nat_usd + (nats + zones) * price.address_usd) * HOURS,
    ),
    item(`${stored.toFixed(0)} GB of audio`, stored * price.object_gb_month_usd),
    item(
      "keys, secrets, alarms, metrics, logs",
      2 * price.key_month_usd +
        6 * price.secret_month_usd +
        14 * price.alarm_month_usd +
        40 * price.metric_month_usd +
        10 * price.log_gb_usd,
    ),
  ];
}

function known(table: Readonly<Record<string, number>>, name: string): number {
  const usd = table[name];
  if (usd === undefined) throw new Error(`shared/policies/price.ts has no price of ${name}`);
  return usd;
}

const sum = <T>(items: readonly T[], of: (item: T) => number) =>
  items.reduce((total, item) => total + of(item), 0);
