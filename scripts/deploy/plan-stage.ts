import { findRegion } from "../../shared/contracts/regions.ts";
import { partPrices } from "../../shared/policies/price.ts";
import type { Deployment } from "./settings.ts";

/** A stage of terraform/stages, ready to run. */
export interface StagePlan {
  stage: "0-state" | "1-global" | "2-region" | "3-edge";
  /** What its data folder and files are named after. */
  name: string;
  /** `-backend-config` of its state; none: a file in the deployment's folder. */
  backend: Record<string, string> | undefined;
  /** Becomes a file of variables. */
  variables: Record<string, unknown>;
  /** Passed as TF_VAR_…, so that no file and no list of processes shows them. */
  secrets: Record<string, string>;
}

export type Target =
  | { stage: "state"; region: string }
  | { stage: "global" }
  | { stage: "region"; region: string }
  | { stage: "edge" };

/**
 * What to run Terraform with, or what is missing for it. Nothing is half done: a region that was not thought through to the end is not begun.
 */
export function planStage(
  target: Target,
  { settings, secrets, facts, missing }: Deployment,
): StagePlan | { missing: string[] } {
  // Stages before the regions need no secrets yet.
  const needsSecrets = target.stage === "region";
  const lacking = missing.filter((line) => needsSecrets || !line.includes("secrets.json"));
  if (!settings) return { missing: lacking };
  const { account_id, primary } = settings;
  const stateOf = (region: string, key: string) => ({
    bucket: `antiphon-state-${region}-${account_id}`,
    key: `${key}.tfstate`,
    region: findRegion(region)!.aws,
    use_lockfile: "true",
    encrypt: "true",
  });
  const done = (plan: StagePlan) => (lacking.length > 0 ? { missing: lacking } : plan);

  if (target.stage === "state") {
    if (!findRegion(target.region)) lacking.push(`no region is called ${target.region}`);
    return done({
      stage: "0-state",
      name: `state-${target.region}`,
      backend: undefined,
      variables: { region: target.region, account_id },
      secrets: {},
    });
  }
  if (target.stage === "global") {
    const { monthly_usd, emails } = settings;
    return done({
      stage: "1-global",
      name: "global",
      backend: stateOf(primary, "global"),
      variables: { primary, account_id, monthly_usd, emails },
      secrets: {},
    });
  }
  if (target.stage === "edge") {
    const there = Object.values(facts);
    if (there.length === 0) lacking.push("no region was applied yet: there are no facts");
    return done({
      stage: "3-edge",
      name: "edge",
      backend: stateOf(primary, "edge"),
      variables: {
        account_id,
        primary,
        regions: Object.fromEntries(
          there.map(({ region, bucket }) => [
            region,
            { host: settings.regions[region]?.host, bucket },
          ]),
        ),
      },
      secrets: {},
    });
  }

  const id = target.region;
  const region = settings.regions[id];
  if (!findRegion(id)) lacking.push(`no region is called ${id}`);
  else if (!region) lacking.push(`deployment.json: regions.${id} is not there`);
  const isPrimary = id === primary;
  if (!isPrimary && !facts[primary]) {
    lacking.push(`facts of the primary, ${primary}: apply its region first`);
  }
  for (const other of Object.values(facts)) {
    if (other.region !== id && other.primary && isPrimary) {
      lacking.push(
        `${other.region} is the primary by its facts: see \`npm run deploy -- promote ${id}\``,
      );
    }
  }
  if (!region || !secrets) return { missing: lacking };
  const queuePassword = secrets.queue_passwords[id];
  const link = secrets.link_secrets[id];
  if (queuePassword === undefined) lacking.push(`secrets.json: queue_passwords.${id}`);
  if (link === undefined) lacking.push(`secrets.json: link_secrets.${id}`);
  const instanceHourUsd = partPrices.instance_usd[region.instance_types[0]!];
  if (instanceHourUsd === undefined) {
    lacking.push(`shared/policies/price.ts has no price of a ${region.instance_types[0]}`);
  }
  const { host: _host, monthly_usd, hourly_usd, ...sizes } = region;
  return done({
    stage: "2-region",
    name: `region-${id}`,
    backend: stateOf(id, "region"),
    variables: {
      ...sizes,
      region: id,
      account_id,
      primary: isPrimary,
      peers: Object.fromEntries(
        Object.values(facts)
          .filter((other) => other.region !== id)
          .map((other) => [
            other.region,
            {
              primary: other.primary,
              vpc_id: other.vpc_id,
              cidr: other.cidr,
              database_arn: other.database_arn,
              database_host: other.database_host,
              peering_ids: other.peering_ids,
            },
          ]),
      ),
      edge: { url: settings.edge_url, cidrs: settings.edge_cidrs },
      version_tag: settings.version,
      costs: { monthly_usd, hourly_usd, instance_hour_usd: instanceHourUsd },
      emails: settings.emails,
      secrets_version: secrets.version,
    },
    secrets: {
      database_password: secrets.database_password,
      queue_password: queuePassword ?? "",
      link_secrets: link?.join(",") ?? "",
      webhook_keys: secrets.webhook_keys.join(","),
      bootstrap_tenants: JSON.stringify(isPrimary ? secrets.bootstrap_tenants : []),
    },
  });
}
