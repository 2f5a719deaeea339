import {
  DescribeServicesCommand,
  ECSClient,
  paginateListServices,
  UpdateServiceCommand,
} from "@aws-sdk/client-ecs";
import { PromoteReadReplicaCommand, RDSClient, RebootDBInstanceCommand } from "@aws-sdk/client-rds";
import type { AwsService, AwsStep } from "./plan-steps.ts";

export interface AwsCalls {
  /** The services of a cluster with the tasks that each is to have. */
  services(aws: string, cluster: string): Promise<AwsService[]>;
  perform(step: AwsStep): Promise<void>;
}

export interface AwsCallsOptions {
  signal: AbortSignal;
  /** Of a stand-in for AWS; for tests. */
  endpoint?: string;
}

/** ECS takes so many services in one question. */
const AT_ONCE = 10;

/** AWS's interface, with the credentials of the environment. */
export function createAwsCalls({ signal, endpoint }: AwsCallsOptions): AwsCalls {
  const more = endpoint === undefined ? {} : { endpoint };
  const ecs = (region: string) => new ECSClient({ region, ...more });
  const rds = (region: string) => new RDSClient({ region, ...more });

  return {
    async services(aws, cluster) {
      const client = ecs(aws);
      const arns: string[] = [];
      for await (const page of paginateListServices({ client }, { cluster })) {
        arns.push(...(page.serviceArns ?? []));
      }
      const found: AwsService[] = [];
      for (let at = 0; at < arns.length; at += AT_ONCE) {
        const { services = [] } = await client.send(
          new DescribeServicesCommand({ cluster, services: arns.slice(at, at + AT_ONCE) }),
          { abortSignal: signal },
        );
        for (const { serviceName, desiredCount } of services) {
          if (serviceName !== undefined)
            found.push({ name: serviceName, count: desiredCount ?? 0 });
        }
      }
      return found;
    },
    async perform(step) {
      const options = { abortSignal: signal };
      if (step.service === "ecs") {
        const { cluster, name: service, count: desiredCount } = step;
        const order = new UpdateServiceCommand({ cluster, service, desiredCount });
        await ecs(step.aws).send(order, options);
      } else {
        const instance = { DBInstanceIdentifier: step.instance };
        const client = rds(step.aws);
        if (step.action === "promote") {
          await client.send(new PromoteReadReplicaCommand(instance), options);
        } else {
          await client.send(new RebootDBInstanceCommand(instance), options);
        }
      }
    },
  };
}
