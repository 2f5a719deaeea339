import { createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { ApiError } from "../../shared/errors/problem.ts";

/** The last row of a page, and whose list it was. */
export interface CursorPosition {
  tenantId: string;
  userId: string | undefined;
  createdAtMs: number;
  jobId: string;
}

const Packed = z.tuple([z.int().min(0), z.string().max(64)]);
const TAG_BYTES = 12;

/**
 * Opaque cursors of a list. The tag covers the tenant and the filter, so a cursor fits only the list that it came from.
 * Several secrets may be valid at once: the first signs.
 */
export function createJobCursor(secrets: readonly string[]) {
  const tag = (
    secret: string,
    body: string,
    { tenantId, userId }: Pick<CursorPosition, "tenantId" | "userId">,
  ) =>
    createHmac("sha256", secret)
      .update(["antiphon-cursor-v1", tenantId, userId ?? "", body].join("\n"))
      .digest()
      .subarray(0, TAG_BYTES);

  return {
    write(position: CursorPosition): string {
      const body = Buffer.from(
        JSON.stringify([position.createdAtMs, position.jobId]),
        "utf8",
      ).toString("base64url");
      return `${body}.${tag(secrets[0]!, body, position).toString("base64url")}`;
    },

    /** @throws ApiError invalid_request when it is not a cursor of this very list */
    read(cursor: string, list: Pick<CursorPosition, "tenantId" | "userId">): CursorPosition {
      const match = /^([\w-]{8,200})\.([\w-]{16})$/.exec(cursor);
      if (!match) throw invalidCursor();
      const [, body, given] = match as unknown as [string, string, string];
      const bytes = Buffer.from(given, "base64url");
      let valid = false;
      for (const secret of secrets)
        valid = timingSafeEqual(tag(secret, body, list), bytes) || valid;
      if (!valid) throw invalidCursor();
      const [createdAtMs, jobId] = Packed.parse(
        JSON.parse(Buffer.from(body, "base64url").toString("utf8")),
      );
      return { ...list, createdAtMs, jobId };
    },
  };
}

const invalidCursor = () =>
  new ApiError("invalid_request", "The cursor is not one of this list.", {
    errors: [{ path: "cursor", message: "use `next_cursor` of the page before, unchanged" }],
  });
