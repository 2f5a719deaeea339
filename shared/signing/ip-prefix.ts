/**
 * The network of an address, to which a signed URL may be bound: the first 24 bits of an IPv4 address, 48 of an IPv6 one, since
 * a client's address changes within them. Undefined for what is no address. An IPv4 address inside IPv6 counts as IPv4.
 */
export function ipPrefix(address: string): string | undefined {
  const inside = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(address);
  const four = (inside?.[1] ?? address).split(".");
  if (four.length === 4) {
    if (!four.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255))
      return undefined;
    return `${four.slice(0, 3).join(".")}.0/24`;
  }
  const groups = ipv6Groups(address);
  if (!groups) return undefined;
  const network = groups.slice(0, 3).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(":")}::/48`;
}

/** The eight groups of an IPv6 address; undefined when it is none. */
function ipv6Groups(address: string): string[] | undefined {
  if (address.length > 39) return undefined;
  const halves = address.split("::");
  if (halves.length > 2) return undefined;
  const [before, after] = halves.map((half) => (half === "" ? [] : half.split(":"))) as [
    string[],
    string[]?,
  ];
  const missing = 8 - before.length - (after?.length ?? 0);
  if (after === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [
    ...before,
    ...Array.from({ length: after ? missing : 0 }, () => "0"),
    ...(after ?? []),
  ];
  return groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group)) ? groups : undefined;
}
