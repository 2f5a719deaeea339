import { describe, expect, test } from "vitest";
import { createNonceMemory } from "../../shared/signing/nonce-memory.ts";
import {
  SIGNATURE_WINDOW_MS,
  signLinkRequest,
  verifyLinkRequest,
  type LinkRequest,
} from "../../shared/signing/link-signature.ts";

const secret = "s".repeat(32);
const now = 1_800_000_000_000;
const request: LinkRequest = {
  method: "POST",
  target: "/internal/jobs?a=1",
  body: '{"id":1}',
  audience: "us-east",
};
const verify = async (
  changes: Partial<LinkRequest>,
  header: string | null,
  at = now,
  secrets = [secret],
) =>
  verifyLinkRequest(
    secrets,
    { ...request, ...changes },
    header,
    createNonceMemory(10, () => at),
    at,
  );

describe("a signed request between edge and region", () => {
  test("passes as it was sent", async () => {
    await expect(verify({}, await signLinkRequest(secret, request, now))).resolves.toBeUndefined();
  });

  test.each([
    ["method", { method: "GET" }],
    ["target", { target: "/internal/jobs?a=2" }],
    ["body", { body: '{"id":2}' }],
    ["audience", { audience: "eu-west" }],
  ])("is refused when its %s was changed", async (_, changes) => {
    const header = await signLinkRequest(secret, request, now);
    await expect(verify(changes, header)).rejects.toMatchObject({ code: "invalid_signature" });
  });

  test("is refused without a signature, and with a malformed one", async () => {
    await expect(verify({}, null)).rejects.toMatchObject({ code: "unsigned_request" });
    await expect(verify({}, "v2 nonsense")).rejects.toMatchObject({ code: "invalid_signature" });
  });

  test("is refused when too old or from the future", async () => {
    const header = await signLinkRequest(secret, request, now);
    for (const at of [now + SIGNATURE_WINDOW_MS + 1, now - SIGNATURE_WINDOW_MS - 1]) {
      await expect(verify({}, header, at)).rejects.toMatchObject({ code: "replayed_request" });
    }
  });

  test("is refused the second time", async () => {
    const isFresh = createNonceMemory(10, () => now);
    const header = await signLinkRequest(secret, request, now);
    await verifyLinkRequest([secret], request, header, isFresh, now);
    await expect(verifyLinkRequest([secret], request, header, isFresh, now)).rejects.toMatchObject({
      code: "replayed_request",
    });
  });

  test("passes under the old secret while secrets are rotated, and under no other", async () => {
    const header = await signLinkRequest(secret, request, now);
    await expect(verify({}, header, now, ["n".repeat(32), secret])).resolves.toBeUndefined();
    await expect(verify({}, header, now, ["n".repeat(32)])).rejects.toMatchObject({
      code: "invalid_signature",
    });
  });
});

test("the memory of nonces is bounded, and forgets only what is over or the oldest", () => {
  let clock = 0;
  const isFresh = createNonceMemory(3, () => clock);
  for (const nonce of ["a", "b", "c"]) expect(isFresh(nonce, 100)).toBe(true);
  expect(isFresh("a", 100)).toBe(false);
  expect(isFresh("d", 100)).toBe(true);
  expect(isFresh("b", 100)).toBe(false);
  clock = 101;
  expect(isFresh("e", 200)).toBe(true);
  expect(isFresh("b", 200)).toBe(true);
});
