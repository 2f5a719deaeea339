import { findRegion } from "../../../shared/contracts/regions.ts";

/** One call of AWS's interface. `undo`: what ends the drill, beside what hurts. */
export type AwsStep =
  | { service: "ecs"; aws: string; action: "scale"; cluster: string; name: string; count: number }
  | { service: "rds"; aws: string; action: "promote"; instance: string }
  | { service: "rds"; aws: string; action: "reboot"; instance: string };

export interface AwsPlan {
  inflict: AwsStep[];
  heal: AwsStep[];
  /** What no call can do, and a person has to. */
  by_hand: string[];
}

/** A service of a region's cluster, as it runs before the drill. */
export interface AwsService {
  name: string;
  count: number;
}

/** As terraform/stages/2-region names what it makes. */
export const clusterOf = (region: string): string => `antiphon-${region}`;

/**
 * What a drill does to a deployment on AWS, as near as its interface allows: tasks to 0 instead of SIGKILL. `to`: the region that is
 * promoted when the primary is lost.
 * @throws for a fault that AWS's interface cannot inflict
 */
export function planAwsSteps(
  fault: string,
  region: string,
  { services, to }: { services: readonly AwsService[]; to?: string | undefined },
): AwsPlan {
  const aws = awsOf(region);
  const cluster = clusterOf(region);
  const scale = (name: string, count: number): AwsStep => {
    return { service: "ecs", aws, action: "scale", cluster, name, count };
  };
  switch (fault) {
    case "kill":
      return {
        inflict: services.map(({ name }) => scale(name, 0)),
        heal: services.map(({ name, count }) => scale(name, count)),
        by_hand: [],
      };
    case "kill-worker": {
      const pools = services.filter(({ name }) => !/-(api|keeper)$/.test(name));
      return {
        inflict: pools.map(({ name, count }) => scale(name, Math.max(0, count - 1))),
        heal: pools.map(({ name, count }) => scale(name, count)),
        by_hand: [],
      };
    }
    case "kill-primary": {
      if (to === undefined) throw new Error("say which region is to be promoted: --to REGION");
      if (to === region) throw new Error("another region than the lost one is to be promoted");
      return {
        inflict: [
          { service: "rds", aws, action: "reboot", instance: cluster },
          { service: "rds", aws: awsOf(to), action: "promote", instance: clusterOf(to) },
        ],
        heal: [],
        by_hand: [
          `A promotion on RDS cannot be undone: the old primary and the other replicas are made anew. The steps: npm run deploy -- promote ${to}`,
        ],
      };
    }
    default:
      throw new Error(
        `AWS's interface cannot inflict "${fault}"; it can: kill, kill-worker, kill-primary`,
      );
  }
}

function awsOf(region: string): string {
  const found = findRegion(region);
  if (found === undefined) throw new Error(`there is no region ${region}`);
  return found.aws;
}

/** A step as one line, for people. */
export function describeStep(step: AwsStep): string {
  if (step.service === "ecs") {
    return `${step.aws}: ecs update-service --cluster ${step.cluster} --service ${step.name} --desired-count ${step.count}`;
  }
  const action = step.action === "promote" ? "promote-read-replica" : "reboot-db-instance";
  return `${step.aws}: rds ${action} --db-instance-identifier ${step.instance}`;
}
