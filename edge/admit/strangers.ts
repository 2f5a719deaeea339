import { ApiError } from "../../shared/errors/problem.ts";
import { takeTokens, tokensLeft, waitForToken } from "../../shared/policies/token-bucket.ts";
import { ipPrefix } from "../../shared/signing/ip-prefix.ts";

/** Names that nobody knows, of one network, in this isolate: 50 at once, one a second after that. */
const QUOTA = { limit: 50, windowMs: 50_000 };
const MAX_NETWORKS = 10_000;

/**
 * Lets a caller whose name is not in this isolate's memory be looked up; `find` is all that costs.
 * @throws ApiError rate_limited, or what `find` throws
 */
export type Introduce = <R>(name: string, find: () => Promise<R | null>) => Promise<R | null>;

export interface Strangers {
  /** `address`: the client's, as Cloudflare saw it; all without one share a bound. */
  from(address: string | undefined): Introduce;
}

/**
 * Bounds what strangers cost. A key with a right checksum, and an issuer's name, can be made up as fast as a machine can hash, and each
 * new one costs a reading of KV and two regions' look-ups. Only names that turn out to be nobody's count, by the network that they come
 * from. A caller whom this isolate has met is not held up; another in a network that used up what it has is told to come again. Many networks at once are for the firewall in front of the Worker.
 */
export function createStrangers(now: () => number = Date.now): Strangers {
  const networks = new Map<string, { fullAt: number; asking: Set<string> }>();

  function networkOf(address: string | undefined) {
    const name = ipPrefix(address ?? "") ?? "";
    const network = networks.get(name) ?? { fullAt: 0, asking: new Set() };
    networks.delete(name);
    for (const oldest of networks.keys()) {
      if (networks.size < MAX_NETWORKS) break;
      networks.delete(oldest);
    }
    networks.set(name, network);
    return network;
  }

  return {
    from: (address) => async (name, find) => {
      const network = networkOf(address);
      // Requests with one key that come together ask for one name.
      if (network.asking.has(name)) return find();
      if (tokensLeft(QUOTA, network.fullAt, now()) <= network.asking.size) {
        const waitMs = Math.max(1000, waitForToken(QUOTA, network.fullAt, now()));
        throw new ApiError("rate_limited", "Too many unknown credentials came from your network.", {
          headers: { "retry-after": String(Math.ceil(waitMs / 1000)) },
        });
      }
      network.asking.add(name);
      try {
        const found = await find();
        if (found === null) network.fullAt = takeTokens(QUOTA, network.fullAt, now(), 1);
        return found;
      } finally {
        network.asking.delete(name);
      }
    },
  };
}
