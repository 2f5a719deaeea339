import type { PrimaryOrder, PrimaryReport, PrimaryStatus } from "../../shared/contracts/primary.ts";
import { createCallObject } from "../ledger/placement.ts";
import type { PrimaryLease } from "./primary-lease.ts";

export interface PrimaryClient {
  report(region: string, report: PrimaryReport): Promise<PrimaryOrder>;
  handOver(to: string): Promise<PrimaryStatus>;
  status(): Promise<PrimaryStatus>;
}

/**
 * The one PrimaryLease of the deployment. `automatic`: whether a lost primary is replaced without being asked; `regions`: those of the
 * deployment.
 */
export function createPrimaryClient(
  namespace: DurableObjectNamespace<PrimaryLease>,
  terms: { automatic: boolean; regions: readonly string[] },
): PrimaryClient {
  const callObject = createCallObject(namespace, { jurisdictions: false });
  return {
    report: (region, report) =>
      callObject("primary", "global", (object) => object.report(region, report, terms)),
    handOver: (to) =>
      callObject("primary", "global", (object) => object.handOver(to, terms.regions)),
    status: () => callObject("primary", "global", (object) => object.status(terms.regions)),
  };
}
