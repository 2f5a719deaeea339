import { env } from "cloudflare:workers";
import type { EdgeBindings } from "../../../edge/env.ts";

export const REGION_IDS = ["us-east", "eu-west", "ap-south"] as const;
export type RegionId = (typeof REGION_IDS)[number];

/** An Ed25519 key pair of tests alone. */
export const RECEIPT_KEY = {
  kty: "OKP",
  crv: "Ed25519",
  kid: "r1",
  x: "WlZ7QdCfHkSGQbgfSJ5o28Rx3QYg8jKAiF10mbKk3xY",
  d: "0hPic8y3b9I8bZrXxOa1baQkjK9vw0H3NazG-jw8nLU",
};

export const linkSecretOf = (region: string) => `link-secret-of-${region}-0123456789abcdef`;
export const accessKeyOf = (region: string) => ({
  id: `AKIA${region}`,
  secret: `object-secret-of-${region}`,
});

export const AUDIO_URL_KEYS = {
  current: "k2",
  secrets: {
    k1: "an-old-audio-secret-0123456789abcdef",
    k2: "a-new-audio-secret-0123456789abcdef",
  },
};

const perRegion = <T>(value: (region: RegionId) => T) =>
  Object.fromEntries(REGION_IDS.map((region) => [region, value(region)]));

/** The Worker's real KV and Durable Objects, with the secrets and addresses of stub regions. */
export function edgeBindings(more: Partial<EdgeBindings> = {}): EdgeBindings {
  return {
    ...(env as unknown as EdgeBindings),
    ENVIRONMENT: "test",
    LINK_SECRETS: JSON.stringify(perRegion((region) => [linkSecretOf(region)])),
    AUDIO_URL_KEYS: JSON.stringify(AUDIO_URL_KEYS),
    REGION_ENDPOINTS: JSON.stringify(
      perRegion((region) => ({
        api: `http://${region}.api.test`,
        objects: `http://${region}.objects.test`,
        public_objects: `https://${region}.public-objects.test`,
        bucket: `bucket-${region}`,
        aws_region: "us-east-1",
        access_key_id: accessKeyOf(region).id,
        secret_access_key: accessKeyOf(region).secret,
      })),
    ),
    RECEIPT_KEYS: JSON.stringify([RECEIPT_KEY]),
    PUBLIC_URL: "https://edge.test",
    ...more,
  };
}
