import type { Secrets } from "./settings.ts";

/** What stage 3-edge gives out. */
export interface EdgeOutputs {
  endpoints: Record<string, Record<string, string>>;
  users: Record<string, string>;
}

export interface AccessKey {
  access_key_id: string;
  secret_access_key: string;
}

/**
 * The secrets of edge/env.ts, by name, as `wrangler secret bulk` reads them.
 * @param keys access key of each region's user; without one a region is left out, and named in `missing`
 */
export function edgeInputs(
  { endpoints, users }: EdgeOutputs,
  secrets: Secrets,
  keys: Record<string, AccessKey>,
): { secrets: Record<string, string>; missing: string[] } {
  const whole = Object.keys(endpoints).filter((id) => keys[id] && secrets.link_secrets[id]);
  const of = <T>(value: (id: string) => T) =>
    JSON.stringify(Object.fromEntries(whole.map((id) => [id, value(id)])));
  return {
    secrets: {
      LINK_SECRETS: of((id) => secrets.link_secrets[id]),
      AUDIO_URL_KEYS: JSON.stringify(secrets.audio_url_keys),
      REGION_ENDPOINTS: of((id) => ({ ...endpoints[id], ...keys[id] })),
    },
    missing: Object.keys(endpoints).flatMap((id) => [
      ...(keys[id] ? [] : [`${id}: aws iam create-access-key --user-name ${users[id]}`]),
      ...(secrets.link_secrets[id] ? [] : [`${id}: link_secrets.${id} in secrets.json`]),
    ]),
  };
}
