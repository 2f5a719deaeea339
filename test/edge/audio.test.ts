import { describe, expect, test } from "vitest";
import { audioKey } from "../../shared/contracts/object-keys.ts";
import type { Residency } from "../../shared/contracts/regions.ts";
import { signAudioUrl } from "../../shared/signing/audio-url.ts";
import { AUDIO_URL_KEYS } from "./support/bindings.ts";
import { codeOf, newTenant, startEdge } from "./support/start-edge.ts";

const BYTES = Uint8Array.from({ length: 256 }, (_, i) => i);
const SHA256 = "0123456789abcdef".repeat(4);

function ready(residency: Residency = "global", lifeMs = 3_600_000) {
  const edge = startEdge();
  const address = {
    region: "eu-west",
    sha256: SHA256,
    extension: "wav",
    residency,
    tenantId: newTenant(),
  };
  const name = (region: string) => `${region}/bucket-${region}/${audioKey(address, SHA256, "wav")}`;
  const put = (region = "eu-west") =>
    edge.regions.objects.set(name(region), { bytes: BYTES, type: "audio/wav" });
  const sign = (keys = AUDIO_URL_KEYS) => signAudioUrl(keys, address, Date.now() + lifeMs);
  return { ...edge, sign, put };
}

describe("a signed audio URL", () => {
  test("delivers the audio with what caches and players need", async () => {
    const { call, sign, put } = ready();
    put();
    const response = await call(await sign());
    expect(response.status).toBe(200);
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(BYTES);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "audio/wav",
      "content-length": "256",
      "accept-ranges": "bytes",
      etag: `"${SHA256}"`,
      "cross-origin-resource-policy": "cross-origin",
    });
    // A cache downstream checks neither the signature nor whether the audio was deleted meanwhile.
    expect(response.headers.get("cache-control")).toMatch(/^private, max-age=3\d{3}, immutable$/);
  });

  test("is kept by no cache beyond its expiry", async () => {
    const { call, sign, put } = ready();
    put();
    const url = await sign();
    const expiresAtMs = Number(/exp=(\d+)/.exec(url)![1]) * 1000;
    const askedAtMs = Date.now();
    const response = await call(url);
    const kept = Number(/max-age=(\d+)/.exec(response.headers.get("cache-control")!)![1]);
    expect(askedAtMs + kept * 1000).toBeLessThanOrEqual(expiresAtMs);
    expect(kept).toBeGreaterThan(3_000);
  });

  test("delivers a range, and ignores one that makes no sense", async () => {
    const { call, sign, put } = ready();
    put();
    const url = await sign();
    const part = await call(url, { headers: { range: "bytes=10-19" } });
    expect(part.status).toBe(206);
    expect(part.headers.get("content-range")).toBe("bytes 10-19/256");
    expect(new Uint8Array(await part.arrayBuffer())).toEqual(BYTES.slice(10, 20));
    expect((await call(url, { headers: { range: "lines=1-2" } })).status).toBe(200);
    const beyond = await call(url, { headers: { range: "bytes=256-" } });
    expect(beyond.status).toBe(416);
    expect(beyond.headers.get("content-range")).toBe("bytes */256");
    expect(await codeOf(beyond)).toBe("range_not_satisfiable");
    const changed = { range: "bytes=10-19", "if-range": '"other"' };
    expect((await call(url, { headers: changed })).status).toBe(200);
  });

  test("answers HEAD without the bytes, and 304 to who has them", async () => {
    const { call, sign, put, regions } = ready();
    put();
    const url = await sign();
    const head = await call(url, { method: "HEAD", headers: { range: "bytes=0-1" } });
    expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([
      200,
      "256",
      "",
    ]);
    for (const tag of [`"${SHA256}"`, `W/"${SHA256}"`, `"x", "${SHA256}"`, "*"]) {
      const same = await call(url, { headers: { "if-none-match": tag } });
      expect([same.status, same.headers.get("etag")]).toEqual([304, `"${SHA256}"`]);
    }
    expect((await call(url, { headers: { "if-none-match": '"x"' } })).status).toBe(200);
    expect(regions.objectRequests.filter(({ method }) => method === "GET")).toHaveLength(1);
  });

  test("is refused when any part of it was touched", async () => {
    const { call, sign, put } = ready();
    put();
    const url = await sign();
    const touched = [
      url.replace("/eu-west/", "/us-east/"),
      url.replace(/\/0123/, "/1123"),
      url.replace(".wav", ".mp3"),
      url.replace("own=global", "own=eu"),
      url.replace(/exp=(\d)/, (_, digit: string) => `exp=${(Number(digit) + 1) % 10}`),
      url.replace("kid=k2", "kid=k1"),
      url.replace(/sig=./, (sig) => (sig === "sig=A" ? "sig=B" : "sig=A")),
      `${url}&exp=9999999999`,
      url.replace(/&sig=.*/, ""),
      url.replace("wav?", "wav/../x?"),
    ];
    for (const each of touched) {
      const response = await call(each);
      expect([each, response.status < 500 && response.status >= 400]).toEqual([each, true]);
      expect(["invalid_signature", "not_found"]).toContain(await codeOf(response));
    }
  });

  test("is refused once it is over", async () => {
    const { call, sign, put } = ready("global", -1_000);
    put();
    expect(await codeOf(await call(await sign()))).toBe("expired_url");
  });

  test("signed with an older key still holds", async () => {
    const { call, sign, put } = ready();
    put();
    expect((await call(await sign({ ...AUDIO_URL_KEYS, current: "k1" }))).status).toBe(200);
  });

  test("to audio that is not there says so", async () => {
    const { call, sign } = ready();
    expect(await codeOf(await call(await sign()))).toBe("audio_not_found");
  });

  test("is served from a replica while its region is away", async () => {
    const { call, sign, put, regions } = ready();
    put("us-east");
    regions.down.add("eu-west");
    expect((await call(await sign())).status).toBe(200);
  });

  test("of a bound tenant is neither sought elsewhere nor cached by others", async () => {
    const { call, sign, put, regions } = ready("eu");
    put();
    const response = await call(await sign());
    expect(response.headers.get("cache-control")).toMatch(/^private,/);
    regions.down.add("eu-west");
    put("us-east");
    expect(await codeOf(await call(await sign()))).toBe("dependency_unavailable");
    expect(regions.objectRequests.every(({ region }) => region === "eu-west")).toBe(true);
  });
});
