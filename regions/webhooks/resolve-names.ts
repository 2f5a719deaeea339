import { Resolver } from "node:dns/promises";

export interface ResolvedAddress {
  address: string;
  family: number;
}
export type Resolve = (hostname: string) => Promise<ResolvedAddress[]>;

export interface ResolveNamesOptions {
  /** Of one question to one server; each is asked twice. */
  timeoutMs?: number;
  /** Name servers, as `address:port`; those of the machine unless given. */
  servers?: readonly string[];
}

/**
 * Asks name servers for the addresses of names that clients chose. Not by the system's own look-up, which holds one of the process's
 * few threads until it ends: names that nobody answers for would then stop all else that needs one (files, signatures, the look-ups of
 * databases and buckets) in the process that also renews the primary's lease. Knows no hosts file and no search domain, and needs none.
 * Rejects when there is neither an A nor an AAAA record.
 */
export function createResolveNames({
  timeoutMs = 1500,
  servers,
}: ResolveNamesOptions = {}): Resolve {
  const resolver = new Resolver({ timeout: timeoutMs, tries: 2 });
  if (servers) resolver.setServers(servers);

  return async (hostname) => {
    const [v4, v6] = await Promise.allSettled([
      resolver.resolve4(hostname),
      resolver.resolve6(hostname),
    ]);
    const of = (found: typeof v4, family: number): ResolvedAddress[] =>
      found.status === "fulfilled" ? found.value.map((address) => ({ address, family })) : [];
    const all = [...of(v4, 4), ...of(v6, 6)];
    if (all.length === 0 && v4.status === "rejected") throw v4.reason;
    return all;
  };
}
