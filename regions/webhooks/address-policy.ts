import { lookup } from "node:dns/promises";
import { BlockList, isIP, isIPv6, type LookupFunction } from "node:net";
import { callbackify } from "node:util";
import { createResolveNames, type Resolve } from "./resolve-names.ts";

/** Which addresses webhooks may be sent to. */
export interface AddressPolicy {
  /** What is wrong with a URL, as far as it tells by itself; undefined: nothing. */
  faultOf(url: string): string | undefined;
  /** For `http.request`: resolves a name and refuses it when any of its addresses is forbidden, at the time of connecting. */
  lookup: LookupFunction;
}

export interface AddressPolicyOptions {
  /** For development: plain http, every port, and this machine itself (no other private address). */
  allowLoopback?: boolean;
  resolve?: Resolve;
}

/** A name that leads where webhooks may not go. */
export class ForbiddenAddressError extends Error {
  constructor(hostname: string) {
    super(`${hostname} leads to an address that is not public`);
    this.name = "ForbiddenAddressError";
  }
}

const PORTS = new Set(["", "443", "8443"]);

/*
 * IANA's registries of special-purpose addresses, and what can carry an IPv4 address inside (mapped, NAT64, 6to4, Teredo):
 * none of it is the public internet, and 169.254.169.254 and fd00:ec2::254 are where clouds keep credentials.
 */
const SPECIAL_V4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.31.196.0/24",
  "192.52.193.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "192.175.48.0/24",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
];
/** Of the addresses outside 2000::/3 none is public; these lie within it. */
const SPECIAL_V6 = ["2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"];

function blockListOf(ranges: readonly string[], type: "ipv4" | "ipv6"): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [net, bits] = range.split("/") as [string, string];
    list.addSubnet(net, Number(bits), type);
  }
  return list;
}

const specialV4 = blockListOf(SPECIAL_V4, "ipv4");
const specialV6 = blockListOf(SPECIAL_V6, "ipv6");
const globalV6 = blockListOf(["2000::/3"], "ipv6");
const loopbackV4 = blockListOf(["127.0.0.0/8"], "ipv4");
const loopbackV6 = blockListOf(["::1/128"], "ipv6");

/** Whether an address is of the public internet. What is no address is not. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !specialV4.check(address, "ipv4");
  if (family !== 6 || address.includes("%")) return false;
  return globalV6.check(address, "ipv6") && !specialV6.check(address, "ipv6");
}

const isLoopback = (address: string): boolean =>
  isIPv6(address) ? loopbackV6.check(address, "ipv6") : loopbackV4.check(address, "ipv4");

/** Knows the names of this machine too. */
const resolveHere: Resolve = (hostname) => lookup(hostname, { all: true, verbatim: true });

export function createAddressPolicy(options: AddressPolicyOptions = {}): AddressPolicy {
  const { allowLoopback = false } = options;
  const { resolve = allowLoopback ? resolveHere : createResolveNames() } = options;
  const isAllowed = (address: string) =>
    isPublicAddress(address) || (allowLoopback && isIP(address) !== 0 && isLoopback(address));

  const resolvePublic = callbackify(async (hostname: string) => {
    const addresses = await resolve(hostname);
    // One forbidden address among good ones is refused too: which of them is taken is a matter of luck.
    if (addresses.length === 0 || !addresses.every(({ address }) => isAllowed(address))) {
      throw new ForbiddenAddressError(hostname);
    }
    return addresses;
  });

  return {
    faultOf(text) {
      const url = new URL(text);
      if (url.username !== "" || url.password !== "") return "must hold no user name and password";
      if (!allowLoopback && url.protocol !== "https:") return "must begin with https://";
      if (!allowLoopback && !PORTS.has(url.port)) return "must use port 443 or 8443";
      // The URL has turned every way to write an address into one.
      const host = url.hostname.replace(/^\[|\]$/g, "");
      return isIP(host) !== 0 && !isAllowed(host) ? "must lead to a public address" : undefined;
    },

    lookup(hostname, { all }, callback) {
      resolvePublic(hostname, (error, addresses) => {
        if (error) callback(error, "", 4);
        else if (all) callback(null, addresses);
        else callback(null, addresses[0]!.address, addresses[0]!.family);
      });
    },
  };
}
