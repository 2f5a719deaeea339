import type { DeletionFacts } from "../../shared/contracts/deletions.ts";
import type { MarkCursor, MarkPage, Marks } from "./deletion-marks.ts";
import type { Deletions, NewDeletion } from "./deletions.ts";
import type { DeletionOwner } from "./forgotten.ts";
import { createCallObject, type Placement } from "./placement.ts";

/** Every call throws ApiError dependency_unavailable when the tenant's object does not answer. */
export interface DeletionsClient {
  /** Null while too many of the tenant's are open. */
  create(deletion: NewDeletion): Promise<DeletionFacts | null>;
  read(owner: DeletionOwner, id: string): Promise<DeletionFacts | null>;
  /** A page of what was deleted since; null: of all that was deleted lately. */
  recent(owner: DeletionOwner, cursor: MarkCursor | null): Promise<MarkPage>;
  /** Of what was deleted lately, what bears these names. */
  named(owner: DeletionOwner, names: readonly string[]): Promise<Marks>;
}

export function createDeletionsClient(
  namespace: DurableObjectNamespace<Deletions>,
  placement: Placement,
): DeletionsClient {
  const callObject = createCallObject(namespace, placement);
  return {
    create: (deletion) =>
      callObject(deletion.tenantId, deletion.residency, (object) => object.create(deletion)),
    read: ({ tenantId, residency }, id) =>
      callObject(tenantId, residency, (object) => object.read(id)),
    recent: ({ tenantId, residency }, cursor) =>
      callObject(tenantId, residency, async (object) => (await object.recent(cursor)) as MarkPage),
    named: ({ tenantId, residency }, names) =>
      callObject(tenantId, residency, async (object) => (await object.named(names)) as Marks),
  };
}
