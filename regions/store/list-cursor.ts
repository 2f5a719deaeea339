import { createHash, timingSafeEqual } from "node:crypto";
import { ApiError } from "../../shared/errors/problem.ts";

const TAG_BYTES = 12;

const tagOf = (body: string, scope: readonly string[]) =>
  createHash("sha256")
    .update(["antiphon-cursor-v2", ...scope, body].join("\n"))
    .digest()
    .subarray(0, TAG_BYTES);

/**
 * An opaque cursor: a place in a list. Its tag covers `scope` (whose list, filtered by what), so that it fits only the
 * list that it came from. It has no secret, so that every region can go on with the cursor of another; none is needed,
 * since a list is filtered by tenant whatever its cursor says, and a forged one only names another place in the
 * caller's own list.
 */
export function writeCursor(scope: readonly string[], position: unknown): string {
  const body = Buffer.from(JSON.stringify(position), "utf8").toString("base64url");
  return `${body}.${tagOf(body, scope).toString("base64url")}`;
}

/**
 * The position that a cursor holds; its form is the caller's to check.
 * @throws ApiError invalid_request when it is not a cursor of this very list
 */
export function readCursor(cursor: string, scope: readonly string[]): unknown {
  const match = /^([\w-]{8,200})\.([\w-]{16})$/.exec(cursor);
  if (!match) throw invalidCursor();
  const [, body, given] = match as unknown as [string, string, string];
  if (!timingSafeEqual(tagOf(body, scope), Buffer.from(given, "base64url"))) throw invalidCursor();
  try {
    return JSON.parse(Buffer.from(body, "base64url").toString("utf8"));
  } catch {
    throw invalidCursor();
  }
}

export const invalidCursor = () =>
  new ApiError("invalid_request", "The cursor is not one of this list.", {
    errors: [{ path: "cursor", message: "use `next_cursor` of the page before, unchanged" }],
  });
