import fc from "fast-check";
import { expect, test } from "vitest";
import { ApiError } from "../../shared/errors/problem.ts";
import { signAudioUrl, verifyAudioUrl, type AudioAddress } from "../../shared/signing/audio-url.ts";
import { ipPrefix } from "../../shared/signing/ip-prefix.ts";

const keys = { current: "k2", secrets: { k1: "old".repeat(12), k2: "new".repeat(12) } };
const now = 1_800_000_000_000;
const base = "https://edge.example";

const hex = (length: number) =>
  fc.string({
    unit: fc.constantFrom(...Array.from("0123456789abcdef")),
    minLength: length,
    maxLength: length,
  });
const address: fc.Arbitrary<AudioAddress> = fc
  .record({
    region: fc.constantFrom("us-east", "eu-west", "ap-south"),
    sha256: hex(64),
    extension: fc.constantFrom("wav", "mp3", "ogg", "bin"),
    residency: fc.constantFrom("global" as const, "eu" as const, "in" as const),
    tenantId: hex(8).map((id) => `ten_${id}`),
    network: fc.option(fc.ipV4(), { nil: undefined }),
  })
  .map(({ network, ...rest }) =>
    network === undefined ? rest : { ...rest, network: ipPrefix(network)! },
  );
/** Pieces that parsers trip over. */
const nasty = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.constantFrom(
    "..",
    "%2e%2e",
    "%2f",
    "//",
    "\\",
    "%00",
    "\0",
    "%",
    "%zz",
    "?",
    "#",
    "&sig=",
    "&own=",
    "own=global.ten_x",
    "𝟘",
    "ＷＡＶ",
    "a\u0301",
    "\u202e",
    "𐀀",
    "__proto__",
    "constructor",
    "1e3",
    "-1",
    "0x10",
    " 1",
    "+1",
  ),
);

const outcome = (url: URL, client?: string) =>
  verifyAudioUrl(keys, url, now, client).catch((error: unknown) => {
    if (error instanceof ApiError) return error.code;
    throw error;
  });

test("whatever is signed is read back as it was, from its own network", async () => {
  await fc.assert(
    fc.asyncProperty(address, async (wanted) => {
      const url = new URL(await signAudioUrl(keys, wanted, now + 60_000), base);
      const client = wanted.network?.replace("0/24", "9");
      expect(await outcome(url, client)).toEqual(wanted);
    }),
    { numRuns: 100 },
  );
});

test("a URL with anything put into it, taken out or written otherwise is refused, and never a fault of ours", async () => {
  await fc.assert(
    fc.asyncProperty(
      address,
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.nat(6),
      nasty,
      async (wanted, where, cut, put) => {
        const signed = await signAudioUrl(keys, wanted, now + 60_000);
        const at = Math.floor(where * signed.length);
        const changed = URL.parse(signed.slice(0, at) + put + signed.slice(at + cut), base);
        if (changed === null || changed.origin !== base) return;
        changed.hash = "";
        const original = new URL(signed, base);
        const found = await outcome(changed, wanted.network?.replace("0/24", "9"));
        const same =
          changed.pathname === original.pathname &&
          ["own", "exp", "kid", "sig", "ip"].every(
            (name) =>
              JSON.stringify(changed.searchParams.getAll(name)) ===
              JSON.stringify(original.searchParams.getAll(name)),
          );
        // Other parameters are not ours to judge.
        expect(found).toEqual(same ? wanted : "invalid_signature");
      },
    ),
    { numRuns: 400 },
  );
});

test("parameters of any content are refused in words, not by a fault", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom("own", "exp", "kid", "sig", "ip", "x"), nasty), {
        maxLength: 8,
      }),
      nasty,
      nasty,
      async (parameters, region, file) => {
        const url = URL.parse(
          `${base}/v1/audio/${encodeURIComponent(region.toWellFormed())}/${encodeURIComponent(file.toWellFormed())}`,
        );
        if (url === null) return;
        for (const [name, value] of parameters) url.searchParams.append(name, value);
        expect(await outcome(url, "203.0.113.1")).toBe("invalid_signature");
      },
    ),
    { numRuns: 200 },
  );
});

test("an address belongs to its own network and to no other", () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.nat(255), (ip, last) => {
      const neighbour = ip.replace(/\d+$/, String(last));
      expect(ipPrefix(neighbour)).toBe(ipPrefix(ip));
      expect(ipPrefix(`::ffff:${ip}`)).toBe(ipPrefix(ip));
      expect(ipPrefix(ip)).toMatch(/^\d+\.\d+\.\d+\.0\/24$/);
    }),
  );
  expect(ipPrefix("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1::/48");
  expect(ipPrefix("2001:0DB8:0001::6")).toBe("2001:db8:1::/48");
  expect(ipPrefix("::1")).toBe("0:0:0::/48");
  expect(ipPrefix("2001:db8:2::1")).not.toBe(ipPrefix("2001:db8:1::1"));
  for (const wrong of [
    "",
    "1.2.3",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4.5",
    "::1::2",
    "g::1",
    "1:2:3:4:5:6:7:8:9",
    ":::",
    "1.2.3.4, 5.6.7.8",
    "x".repeat(100),
  ]) {
    expect([wrong, ipPrefix(wrong)]).toEqual([wrong, undefined]);
  }
});
