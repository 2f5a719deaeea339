import { randomBytes, randomInt } from "node:crypto";
import type { Secrets } from "./settings.ts";

const SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const word = (length: number) =>
  Array.from({ length }, () => SIGNS[randomInt(SIGNS.length)]).join("");

/** New secrets of a deployment; what `known` has stays as it is, so that a region can be added. */
export function makeSecrets(regions: readonly string[], known?: Secrets): Secrets {
  const each = <T>(make: () => T) => Object.fromEntries(regions.map((id) => [id, make()]));
  const key = `k${Date.now().toString(36)}`;
  const fresh: Secrets = {
    database_password: word(40),
    queue_passwords: each(() => word(40)),
    link_secrets: each(() => [word(48)]),
    webhook_keys: [randomBytes(32).toString("base64")],
    audio_url_keys: { current: key, secrets: { [key]: word(48) } },
    bootstrap_tenants: [],
    version: 1,
  };
  if (!known) return fresh;
  return {
    ...known,
    queue_passwords: { ...fresh.queue_passwords, ...known.queue_passwords },
    link_secrets: { ...fresh.link_secrets, ...known.link_secrets },
  };
}
