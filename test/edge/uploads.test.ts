import { createRouter } from "../../edge/route/candidates.ts";
import { createRegionHealth } from "../../edge/route/region-health.ts";
import { AwsV4Signer } from "aws4fetch";
import { expect, test } from "vitest";
import { MAX_UPLOAD_BYTES, Upload } from "../../shared/contracts/api.ts";
import { accessKeyOf } from "./support/bindings.ts";
import { codeOf, NEAR_DUBLIN, NEAR_MUMBAI, newTenant, startEdge } from "./support/start-edge.ts";

const SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

async function ready(residency: "global" | "us" | "eu" | "in" = "global", environment = "test") {
  const edge = startEdge({ ENVIRONMENT: environment });
  const tenant = newTenant();
  const key = await edge.regions.addKey({ tenant_id: tenant, residency });
  return { ...edge, tenant, key };
}

test("a presigned PUT is signed for its host, length, type and checksum, for 15 minutes", async () => {
  const { call, key, tenant } = await ready();
  const body = { content_type: "audio/wav", bytes: 1234, sha256: SHA256 };
  const response = await call("/v1/uploads", { key, body, cf: NEAR_DUBLIN });
  expect(response.status).toBe(201);
  const upload = Upload.parse(await response.json());
  const url = new URL(upload.url);
  expect(upload.region).toBe("eu-west");
  expect(url.origin).toBe("https://eu-west.public-objects.test");
  expect(url.pathname).toBe(`/bucket-eu-west/uploads/global/${tenant}/${upload.upload_id}`);
  expect(url.searchParams.get("X-Amz-Expires")).toBe("900");
  expect(url.searchParams.get("X-Amz-SignedHeaders")).toBe(
    "content-length;content-type;host;x-amz-checksum-sha256",
  );
  expect(upload.headers).toEqual({
    "content-type": "audio/wav",
    "x-amz-checksum-sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
  });
  const left = Date.parse(upload.expires_at) - Date.now();
  expect(left).toBeGreaterThan(14 * 60_000);
  expect(left).toBeLessThanOrEqual(15 * 60_000);

  const signatureFor = async (bytes: number) => {
    const unsigned = new URL(upload.url);
    unsigned.searchParams.delete("X-Amz-Signature");
    const { id, secret } = accessKeyOf("eu-west");
    const signer = new AwsV4Signer({
      method: "PUT",
      url: unsigned.href,
      headers: { ...upload.headers, "content-length": String(bytes) },
      accessKeyId: id,
      secretAccessKey: secret,
      service: "s3",
      region: "us-east-1",
      datetime: url.searchParams.get("X-Amz-Date")!,
      signQuery: true,
      allHeaders: true,
    });
    return (await signer.sign()).url.searchParams.get("X-Amz-Signature");
  };
  expect(await signatureFor(1234)).toBe(url.searchParams.get("X-Amz-Signature"));
  expect(await signatureFor(1235)).not.toBe(url.searchParams.get("X-Amz-Signature"));
});

test("an upload goes to the nearest region that the tenant's residency permits", async () => {
  const body = { content_type: "audio/wav", bytes: 10 };
  const regionOf = async (residency: "global" | "us" | "eu" | "in", cf: typeof NEAR_DUBLIN) => {
    const { call, key } = await ready(residency);
    return Upload.parse(await (await call("/v1/uploads", { key, body, cf })).json()).region;
  };
  expect(await regionOf("global", NEAR_MUMBAI)).toBe("ap-south");
  expect(await regionOf("eu", NEAR_MUMBAI)).toBe("eu-west");
  expect(await regionOf("us", NEAR_MUMBAI)).toBe("us-east");
  expect(await regionOf("in", NEAR_DUBLIN)).toBe("ap-south");
});

test("a forced region holds outside production, and is ignored in production", async () => {
  const headers = { "x-antiphon-region": "ap-south" };
  const request = { body: { content_type: "audio/wav", bytes: 10 }, headers, cf: NEAR_DUBLIN };
  const { services } = startEdge({ ENVIRONMENT: "production" });
  const asked = new Request("https://edge.test/", {
    headers,
    cf: NEAR_DUBLIN,
  } as unknown as RequestInit);
  expect(services.router.candidates({ request: asked, residency: "global" })[0]!.id).toBe(
    "eu-west",
  );
  const { call, key } = await ready();
  const upload = Upload.parse(await (await call("/v1/uploads", { key, ...request })).json());
  expect(upload.region).toBe("ap-south");
});

test("a forced region is asked even when it has just failed", () => {
  const health = createRegionHealth();
  health.failed("ap-south");
  const router = createRouter(startEdge().services.config, health);
  const headers = { "x-antiphon-region": "ap-south" };
  const order = (init: RequestInit) =>
    router
      .candidates({ request: new Request("https://edge.test/", init), residency: "global" })
      .map(({ id }) => id);
  expect(order({ headers })[0]).toBe("ap-south");
  expect(order({})).not.toContain("ap-south");
});

test("an upload beyond the limit is refused before it begins", async () => {
  const { call, key } = await ready();
  const body = { content_type: "audio/wav", bytes: MAX_UPLOAD_BYTES + 1 };
  expect(await codeOf(await call("/v1/uploads", { key, body }))).toBe("upload_too_large");
});
