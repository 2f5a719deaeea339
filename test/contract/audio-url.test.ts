import { expect, test } from "vitest";
import { signAudioUrl, verifyAudioUrl, type AudioAddress } from "../../shared/signing/audio-url.ts";

const keys = { current: "k2", secrets: { k1: "old".repeat(12), k2: "new".repeat(12) } };
const now = 1_800_000_000_000;
const address: AudioAddress = {
  region: "eu-west",
  sha256: "ab".repeat(32),
  extension: "wav",
  residency: "eu",
  tenantId: "ten_demo",
};
const signed = async (changes: Partial<AudioAddress> = {}) =>
  new URL(
    await signAudioUrl(keys, { ...address, ...changes }, now + 60_000),
    "https://edge.example",
  );
const expectRefused = (url: URL, code: string, at = now) =>
  expect(verifyAudioUrl(keys, url, at)).rejects.toMatchObject({ code });

test("a signed audio URL names its audio until it expires", async () => {
  const url = await signed();
  expect(await verifyAudioUrl(keys, url, now)).toEqual(address);
  await expectRefused(url, "expired_url", now + 60_000);
});

test.each([
  ["region", (url: URL) => (url.pathname = url.pathname.replace("eu-west", "us-east"))],
  ["hash", (url: URL) => (url.pathname = url.pathname.replace("ab", "cd"))],
  ["extension", (url: URL) => (url.pathname = url.pathname.replace(".wav", ".mp3"))],
  ["owner", (url: URL) => url.searchParams.set("own", "eu.ten_other")],
  ["residency", (url: URL) => url.searchParams.set("own", "global.ten_demo")],
  ["expiry", (url: URL) => url.searchParams.set("exp", "9999999999")],
  ["key id", (url: URL) => url.searchParams.set("kid", "k1")],
  ["signature", (url: URL) => url.searchParams.set("sig", "A".repeat(43))],
  ["unknown key id", (url: URL) => url.searchParams.set("kid", "__proto__")],
  ["missing signature", (url: URL) => url.searchParams.delete("sig")],
  ["doubled parameter", (url: URL) => url.searchParams.append("exp", "9999999999")],
  [
    "path trick",
    (url: URL) => (url.pathname = url.pathname.replace("/v1/audio/", "/v1/audio/%2e%2e/")),
  ],
])("a URL whose %s was touched is refused", async (_, touch) => {
  const url = await signed();
  touch(url);
  await expectRefused(url, "invalid_signature");
});

test("a URL signed under the previous key still works after a rotation", async () => {
  const url = new URL(
    await signAudioUrl({ ...keys, current: "k1" }, address, now + 60_000),
    "https://edge.example",
  );
  expect(await verifyAudioUrl(keys, url, now)).toEqual(address);
});
