import type { PrimaryOrder, PrimaryReport, PrimaryStatus } from "../../shared/contracts/primary.ts";
import { createCallObject } from "../ledger/placement.ts";
import type { PrimaryLease } from "./primary-lease.ts";

export interface PrimaryClient {
  report(region: string, report: PrimaryReport): Promise<PrimaryOrder>;
  handOver(to: string): Promise<PrimaryStatus>;
  status(): Promise<PrimaryStatus>;
}

/** The one PrimaryLease of the deployment. `automatic`: whether a lost primary is replaced without being asked. */
export function createPrimaryClient(
  namespace: DurableObjectNamespace<PrimaryLease>,
  automatic: boolean,
): PrimaryClient {
  const callObject = createCallObject(namespace, { jurisdictions: false });
  return {
    report: (region, report) =>
      callObject("primary", "global", (object) => object.report(region, report, { automatic })),
    handOver: (to) => callObject("primary", "global", (object) => object.handOver(to)),
    status: () => callObject("primary", "global", (object) => object.status()),
  };
}
