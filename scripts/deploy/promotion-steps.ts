import { findRegion } from "../../shared/contracts/regions.ts";
import type { Deployment } from "./settings.ts";

/**
 * The steps that make another region's Postgres the primary. They are printed, not run: RDS cannot take a promotion back, and a primary
 * that still takes writes while another is made loses them.
 */
export function promotionSteps(to: string, { settings, facts }: Deployment): string[] {
  const from = settings?.primary;
  const known = Object.keys(facts).filter((id) => id !== to);
  if (!settings || !from || !facts[to])
    throw new Error(`${to} was not applied yet: it has no facts`);
  if (to === from) throw new Error(`${to} is the primary already`);
  const aws = (id: string) => findRegion(id)!.aws;
  const rebuilt = (id: string) => [
    `# ${id}: its Postgres is made anew from ${to}. The old one goes on under another name, out of Terraform's hands, until you delete it.`,
    `aws rds modify-db-instance --region ${aws(id)} --db-instance-identifier antiphon-${id} --new-db-instance-identifier antiphon-${id}-before --apply-immediately`,
    `npm run deploy -- region ${id} --apply --rebuild-database`,
  ];
  return [
    `# A promotion cannot be taken back: antiphon-${to} leaves its primary for good, and every other server is rebuilt from it.`,
    "# 1. See that the old primary takes no more writes: while both do, rows of one of them are lost.",
    `aws ecs update-service --region ${aws(from)} --cluster antiphon-${from} --service antiphon-${from}-keeper --desired-count 0`,
    `aws rds stop-db-instance --region ${aws(from)} --db-instance-identifier antiphon-${from}   # where it can still be reached`,
    "# 2. See how far the replica is behind: what is missing there is in the outboxes, unless they were trimmed past it.",
    `aws cloudwatch get-metric-statistics --region ${aws(to)} --namespace AWS/RDS --metric-name ReplicaLag --dimensions Name=DBInstanceIdentifier,Value=antiphon-${to} --statistics Maximum --period 60 --start-time "$(date -u -d '-10 min' +%FT%TZ)" --end-time "$(date -u +%FT%TZ)"`,
    "# 3. Promote. Services ask all servers which one is the primary, and go on by themselves.",
    `aws rds promote-read-replica --region ${aws(to)} --db-instance-identifier antiphon-${to} --backup-retention-period 14`,
    `aws rds wait db-instance-available --region ${aws(to)} --db-instance-identifier antiphon-${to}`,
    `# 4. Say so: "primary": "${to}" in deployment.json, and in facts/: "primary" true in ${to}.json, false in ${from}.json.`,
    `#    stage 1-global and 3-edge keep their state in the primary's region: copy global.tfstate and edge.tfstate to antiphon-state-${to}-${settings.account_id}.`,
    `npm run deploy -- region ${to} --apply`,
    "# 5. Nothing is confirmed until some replica has replayed it: rebuild one at once.",
    ...known.sort((a, b) => Number(a === from) - Number(b === from)).flatMap(rebuilt),
  ];
}
