import { createLinkProxy, type LinkProxy } from "./link-proxy.ts";
import type { Link } from "./links.ts";
import type { Ports } from "./ports.ts";

/** Opens a proxy for each link, on the port that it had before where that is still free. By name. */
export async function openLinks(
  links: readonly Link[],
  { ports, targetOf }: { ports: Ports; targetOf: (link: Link) => number | undefined },
): Promise<Map<string, LinkProxy>> {
  const open = new Map<string, LinkProxy>();
  try {
    for (const link of links) {
      const { name, rttMs } = link;
      const port = targetOf(link);
      if (port === undefined) throw new Error(`the link ${name} leads nowhere`);
      const listenPort = await ports.want(`link ${name}`);
      open.set(
        name,
        await createLinkProxy({ name, rttMs, listenPort, target: { host: "127.0.0.1", port } }),
      );
    }
  } catch (error) {
    await closeLinks(open);
    throw error;
  }
  return open;
}

export async function closeLinks(links: ReadonlyMap<string, LinkProxy>): Promise<void> {
  await Promise.all(Array.from(links.values(), (link) => link.close()));
}

/** The port at the sender's end of a link. @throws when there is no such link */
export function portOfLink(links: ReadonlyMap<string, LinkProxy>, name: string): number {
  const link = links.get(name);
  if (link === undefined) throw new Error(`there is no link ${name}`);
  return link.port;
}
