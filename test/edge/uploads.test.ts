import { createRouter } from "../../edge/route/candidates.ts";
import { createRegionHealth } from "../../edge/route/region-health.ts";
import { AwsV4Signer } from "aws4fetch";
import { expect, test } from "vitest";
import {
  MAX_SINGLE_PUT_BYTES,
  MAX_UPLOAD_BYTES,
  Upload,
  UploadInParts,
} from "../../shared/contracts/api.ts";
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
  const health = createRegionHealth(() => 1_000_000);
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

test("a file of more than 100 MiB comes in parts, each signed for its own length, and is put together by a call", async () => {
  const { call, key, tenant, regions } = await ready();
  const bytes = 150 * 1024 ** 2 + 1;
  const body = { content_type: "audio/wav", bytes };
  const once = { "idempotency-key": "big" };
  const response = await call("/v1/uploads", { key, body, headers: once, cf: NEAR_DUBLIN });
  expect(response.status).toBe(201);
  const upload = UploadInParts.parse(await response.json());
  expect(upload.region).toBe("eu-west");
  expect(upload.parts.map(({ part_number }) => part_number)).toEqual([1, 2, 3]);
  expect(upload.parts.reduce((sum, part) => sum + part.bytes, 0)).toBe(bytes);
  const name = `/bucket-eu-west/uploads/global/${tenant}/${upload.upload_id}`;
  for (const part of upload.parts) {
    const url = new URL(part.url);
    expect([url.origin, url.pathname]).toEqual(["https://eu-west.public-objects.test", name]);
    expect(url.searchParams.get("partNumber")).toBe(String(part.part_number));
    expect(url.searchParams.get("uploadId")).toBe(upload.multipart_id);
    expect(url.searchParams.get("X-Amz-SignedHeaders")).toBe("content-length;host");
  }
  // The same request again is the same upload, not another one in the bucket.
  const again = await call("/v1/uploads", { key, body, headers: once, cf: NEAR_DUBLIN });
  expect(UploadInParts.parse(await again.json())).toEqual(upload);

  const complete = (given: object, as = key, id: string = upload.upload_id) =>
    call(`/v1/uploads/${id}/complete`, { key: as, body: given });
  const parts = [2, 1, 3].map((part_number) => ({ part_number, etag: `"tag-${part_number}"` }));
  const { multipart_id } = upload;
  expect(new URL(upload.complete_url).pathname).toBe(`/v1/uploads/${upload.upload_id}/complete`);
  // Another tenant's key leads to another object, of which the bucket knows nothing.
  const stranger = await regions.addKey({ tenant_id: newTenant() });
  expect(await codeOf(await complete({ multipart_id, parts }, stranger))).toBe("upload_not_found");
  expect(await codeOf(await complete({ multipart_id: "other", parts }))).toBe("upload_not_found");
  expect(await codeOf(await complete({ multipart_id, parts }, key, "upl_x"))).toBe(
    "upload_not_found",
  );
  const missing = [{ part_number: 1, etag: "missing" }];
  expect(await codeOf(await complete({ multipart_id, parts: missing }))).toBe("invalid_request");
  const forged = [{ part_number: 1, etag: '"</ETag></Part><Part>' }];
  expect(await codeOf(await complete({ multipart_id, parts: forged }))).toBe("invalid_request");
  for (let times = 0; times < 2; times++) {
    const done = await complete({ multipart_id, parts });
    expect([done.status, await done.json()]).toEqual([
      200,
      { upload_id: upload.upload_id, region: "eu-west" },
    ]);
  }
  const xml = new TextDecoder().decode(regions.objects.get(`eu-west${name}`)!.bytes);
  expect(
    [...xml.matchAll(/<PartNumber>(\d)<.*?<ETag>"(tag-\d)"/g)].map(([, n, tag]) => [n, tag]),
  ).toEqual([
    ["1", "tag-1"],
    ["2", "tag-2"],
    ["3", "tag-3"],
  ]);
});

test("a file of just 100 MiB is one piece still", async () => {
  const { call, key } = await ready();
  const body = { content_type: "audio/wav", bytes: MAX_SINGLE_PUT_BYTES };
  Upload.parse(await (await call("/v1/uploads", { key, body })).json());
});
