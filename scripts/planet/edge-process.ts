import { join } from "node:path";
import type { Region } from "../../shared/contracts/regions.ts";
import { answers } from "./probe.ts";
import { localUrl } from "./addresses.ts";
import { compileCache } from "./region-processes.ts";
import type { ProcessSpec } from "./supervised-process.ts";

export type EdgeProcessOptions = {
  root: string;
  stateDir: string;
  port: number;
  /** Variables and secrets of the Worker; they win over those of wrangler.toml. */
  bindings: Record<string, string>;
  /** The region next to which clients appear to be. */
  home: Region;
  /** Default: wrangler.toml in the root. */
  configFile?: string;
  /** What shows that it serves; default /healthz. */
  healthPath?: string;
};

/** The edge under workerd; see serve-edge.ts. */
export function edgeProcess(options: EdgeProcessOptions): ProcessSpec {
  const { root, stateDir, port, bindings, home, configFile, healthPath = "/healthz" } = options;
  return {
    name: "edge",
    logFile: join(stateDir, "logs", "edge.log"),
    readyTimeoutMs: 90_000,
    command: () => ({
      command: process.execPath,
      args: [join(root, "scripts/planet/serve-edge.ts")],
      cwd: root,
      env: {
        ...compileCache(root),
        EDGE_PORT: String(port),
        EDGE_DIR: join(stateDir, "edge"),
        EDGE_CONFIG: configFile ?? join(root, "wrangler.toml"),
        EDGE_BINDINGS: JSON.stringify(bindings),
        EDGE_CF: JSON.stringify(geographyOf(home)),
      },
    }),
    ready: answers(localUrl(port) + healthPath),
  };
}

/** What Cloudflare would say of a client that is near a region. */
function geographyOf({ lat, lon, name, jurisdiction }: Region): Record<string, unknown> {
  const country = { us: "US", eu: "IE", in: "IN" }[jurisdiction];
  return {
    latitude: String(lat),
    longitude: String(lon),
    country,
    city: name,
    timezone: "Etc/UTC",
    colo: "DEV",
    asn: 64_512,
    httpProtocol: "HTTP/1.1",
    ...(jurisdiction === "eu" ? { isEUCountry: "1" } : {}),
  };
}
