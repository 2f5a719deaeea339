import { createHash, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { JobId } from "../../shared/contracts/ids.ts";
import { ApiError } from "../../shared/errors/problem.ts";

/** The last row of a page, and whose list it was. */
export interface CursorPosition {
  tenantId: string;
  userId: string | undefined;
  createdAtMs: number;
  jobId: string;
}

/** No later than what a Date can hold. */
const Packed = z.tuple([z.int().min(0).max(8_640_000_000_000_000), JobId]);
const TAG_BYTES = 12;

/**
 * Opaque cursors of a list. The tag covers the tenant and the filter, so a cursor fits only the list that it came from.
 * It has no secret, so that every region can go on with the cursor of another; none is needed, since a list is
 * filtered by tenant whatever its cursor says, and a forged one only names another place in the caller's own list.
 */
export function createJobCursor() {
  const tag = (body: string, { tenantId, userId }: Pick<CursorPosition, "tenantId" | "userId">) =>
    createHash("sha256")
      .update(["antiphon-cursor-v2", tenantId, userId ?? "", body].join("\n"))
      .digest()
      .subarray(0, TAG_BYTES);

  return {
    write(position: CursorPosition): string {
      const body = Buffer.from(
        JSON.stringify([position.createdAtMs, position.jobId]),
        "utf8",
      ).toString("base64url");
      return `${body}.${tag(body, position).toString("base64url")}`;
    },

    /** @throws ApiError invalid_request when it is not a cursor of this very list */
    read(cursor: string, list: Pick<CursorPosition, "tenantId" | "userId">): CursorPosition {
      const match = /^([\w-]{8,200})\.([\w-]{16})$/.exec(cursor);
      if (!match) throw invalidCursor();
      const [, body, given] = match as unknown as [string, string, string];
      if (!timingSafeEqual(tag(body, list), Buffer.from(given, "base64url"))) throw invalidCursor();
      const packed = Packed.safeParse(parse(Buffer.from(body, "base64url").toString("utf8")));
      if (!packed.success) throw invalidCursor();
      const [createdAtMs, jobId] = packed.data;
      return { ...list, createdAtMs, jobId };
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const invalidCursor = () =>
  new ApiError("invalid_request", "The cursor is not one of this list.", {
    errors: [{ path: "cursor", message: "use `next_cursor` of the page before, unchanged" }],
  });
