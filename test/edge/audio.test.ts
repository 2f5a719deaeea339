import { describe, expect, test } from "vitest";
import { createDeliverAudio } from "../../edge/deliver/audio-delivery.ts";
import type { IsDeleted } from "../../edge/deliver/is-deleted.ts";
import { audioKey } from "../../shared/contracts/object-keys.ts";
import type { Residency } from "../../shared/contracts/regions.ts";
import { signAudioUrl } from "../../shared/signing/audio-url.ts";
import { AUDIO_URL_KEYS } from "./support/bindings.ts";
import { codeOf, newTenant, startEdge } from "./support/start-edge.ts";

const BYTES = Uint8Array.from({ length: 256 }, (_, i) => i);
const SHA256 = "0123456789abcdef".repeat(4);

function ready(
  residency: Residency = "global",
  lifeMs = 3_600_000,
  more: { network?: string; isDeleted?: IsDeleted } = {},
) {
  const edge = startEdge();
  const { services } = edge;
  if (more.isDeleted) {
    services.deliverAudio = createDeliverAudio(services.config, services.objects, more.isDeleted);
  }
  const address = {
    region: "eu-west",
    sha256: SHA256,
    extension: "wav",
    residency,
    tenantId: newTenant(),
    ...(more.network === undefined ? {} : { network: more.network }),
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
    // Several at once, backwards, of another unit: the whole is a right answer to all of them.
    for (const range of ["lines=1-2", "bytes=0-1,4-5", "bytes=9-5", "bytes=a-b", "bytes="]) {
      const whole = await call(url, { headers: { range } });
      expect([range, whole.status]).toEqual([range, 200]);
      expect((await whole.arrayBuffer()).byteLength).toBe(256);
    }
    const last = await call(url, { headers: { range: "bytes=-6" } });
    expect([last.status, last.headers.get("content-range")]).toEqual([206, "bytes 250-255/256"]);
    expect(new Uint8Array(await last.arrayBuffer())).toEqual(BYTES.slice(250));
    const beyond = await call(url, { headers: { range: "bytes=256-" } });
    expect(beyond.status).toBe(416);
    expect(beyond.headers.get("content-range")).toBe("bytes */256");
    expect(await codeOf(beyond)).toBe("range_not_satisfiable");
    for (const ifRange of ['"other"', `W/"${SHA256}"`, new Date().toUTCString()]) {
      const headers = { range: "bytes=10-19", "if-range": ifRange };
      expect([ifRange, (await call(url, { headers })).status]).toEqual([ifRange, 200]);
    }
    const same = { range: "bytes=10-19", "if-range": `"${SHA256}"` };
    expect((await call(url, { headers: same })).status).toBe(206);
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

  test("is served from the edge's cache by its content, whatever its signature, ranges included", async () => {
    const { call, sign, put, regions, settled } = ready();
    put();
    const first = await call(await sign());
    expect(new Uint8Array(await first.arrayBuffer())).toEqual(BYTES);
    expect(first.headers.get("x-antiphon-cache")).toBe("miss");
    await settled();
    regions.objects.clear();
    const other = await sign({ ...AUDIO_URL_KEYS, current: "k1" });
    const whole = await call(other);
    expect([whole.status, whole.headers.get("x-antiphon-cache")]).toEqual([200, "hit"]);
    expect(new Uint8Array(await whole.arrayBuffer())).toEqual(BYTES);
    // The client's own copy is private still, and ends with the signature.
    expect(whole.headers.get("cache-control")).toMatch(/^private, max-age=3\d{3}, immutable$/);
    expect(whole.headers.get("content-type")).toBe("audio/wav");
    const part = await call(other, { headers: { range: "bytes=10-19" } });
    expect([part.status, part.headers.get("content-range")]).toEqual([206, "bytes 10-19/256"]);
    expect(new Uint8Array(await part.arrayBuffer())).toEqual(BYTES.slice(10, 20));
    const beyond = await call(other, { headers: { range: "bytes=256-" } });
    expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, "bytes */256"]);
    const head = await call(other, { method: "HEAD" });
    expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([
      200,
      "256",
      "",
    ]);
    expect((await call(other, { headers: { "if-none-match": `"${SHA256}"` } })).status).toBe(304);
  });

  test("of which a part was asked for is cached whole", async () => {
    const { call, sign, put, regions, settled } = ready();
    put();
    const url = await sign();
    const part = await call(url, { headers: { range: "bytes=0-9" } });
    expect([part.status, (await part.arrayBuffer()).byteLength]).toEqual([206, 10]);
    await settled();
    regions.objects.clear();
    expect(new Uint8Array(await (await call(url)).arrayBuffer())).toEqual(BYTES);
  });

  test("with a wrong signature, or over, gets nothing from the cache", async () => {
    const { call, sign, put, settled } = ready();
    put();
    const url = await sign();
    await (await call(url)).arrayBuffer();
    await settled();
    expect(await codeOf(await call(url.replace(/sig=.{8}/, "sig=AAAAAAAA")))).toBe(
      "invalid_signature",
    );
    expect(await codeOf(await call(url.replace(/exp=\d+/, "exp=1")))).toBe("invalid_signature");
  });

  test("of a bound tenant is never in a shared cache", async () => {
    const { call, sign, put, regions, settled } = ready("eu");
    put();
    await (await call(await sign())).arrayBuffer();
    await settled();
    regions.objects.clear();
    expect(await codeOf(await call(await sign()))).toBe("audio_not_found");
  });

  test("is asked of no cache once its audio was deleted", async () => {
    let deleted = false;
    const asked: unknown[] = [];
    const isDeleted: IsDeleted = async (owner, sha256) => {
      asked.push([owner.residency, sha256]);
      return deleted;
    };
    const { call, sign, put, settled } = ready("global", 3_600_000, { isDeleted });
    put();
    const url = await sign();
    await (await call(url)).arrayBuffer();
    await settled();
    expect((await call(url)).headers.get("x-antiphon-cache")).toBe("hit");
    deleted = true;
    for (const init of [{}, { method: "HEAD" }, { headers: { "if-none-match": "*" } }]) {
      expect((await call(url, init)).status).toBe(404);
    }
    expect(asked).toContainEqual(["global", SHA256]);
  });

  test("that is bound to a network works from there alone", async () => {
    const { call, sign, put } = ready("global", 3_600_000, { network: "203.0.113.0/24" });
    put();
    const url = await sign();
    const from = (address?: string) =>
      call(url, address === undefined ? {} : { headers: { "cf-connecting-ip": address } });
    expect((await from("203.0.113.77")).status).toBe(200);
    for (const address of ["203.0.114.77", "::1", "203.0.113.77, 1.1.1.1", undefined]) {
      expect([address, await codeOf(await from(address))]).toEqual([address, "invalid_signature"]);
    }
    const unbound = url.replace(/&ip=[^&]*/, "");
    expect(await codeOf(await call(unbound))).toBe("invalid_signature");
  });
});
