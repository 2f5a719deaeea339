import { findRegion, type Jurisdiction, type Residency } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { describeError, log } from "../ops/log.ts";

/** Jurisdictions that Cloudflare can bind a Durable Object to; it has none for India. */
const RESTRICTED: ReadonlySet<string> = new Set<Jurisdiction>(["eu", "us"]);
const HINTS: Record<Jurisdiction, DurableObjectLocationHint> = {
  us: "enam",
  eu: "weur",
  in: "apac",
};

export interface Placement {
  /** Durable Objects can be bound to a jurisdiction: true on Cloudflare, not under a local workerd. */
  jurisdictions: boolean;
}

/** Calls one named object; a broken call is repeated once where Cloudflare says that it may be. */
export type CallObject<T extends Rpc.DurableObjectBranded> = <R>(
  name: string,
  home: Residency,
  call: (object: DurableObjectStub<T>) => Promise<R>,
) => Promise<R>;

/**
 * Finds objects by name, in (or near) a jurisdiction. The name and the home must always go together:
 * the same name under another jurisdiction is another object.
 * @throws ApiError dependency_unavailable when the object does not answer
 */
export function createCallObject<T extends Rpc.DurableObjectBranded>(
  namespace: DurableObjectNamespace<T>,
  { jurisdictions }: Placement,
): CallObject<T> {
  function find(name: string, home: Residency): DurableObjectStub<T> {
    const bound =
      jurisdictions && RESTRICTED.has(home)
        ? namespace.jurisdiction(home as DurableObjectJurisdiction)
        : namespace;
    const options = home === "global" ? {} : { locationHint: HINTS[home] };
    return bound.get(bound.idFromName(name), options);
  }

  return async (name, home, call) => {
    for (let attempt = 1; ; attempt++) {
      try {
        // A stub that failed stays broken: each attempt needs its own.
        return await call(find(name, home));
      } catch (cause) {
        const { retryable, overloaded } = cause as { retryable?: boolean; overloaded?: boolean };
        if (retryable === true && overloaded !== true && attempt === 1) continue;
        log("error", "a durable object did not answer", { name, error: describeError(cause) });
        throw new ApiError("dependency_unavailable", undefined, { cause });
      }
    }
  };
}

/** The jurisdiction of a region by its id; `global` for one that is not known. */
export const jurisdictionOf = (regionId: string): Residency =>
  findRegion(regionId)?.jurisdiction ?? "global";
