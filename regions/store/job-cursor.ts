import { z } from "zod";
import { JobId } from "../../shared/contracts/ids.ts";
import { invalidCursor, readCursor, writeCursor } from "./list-cursor.ts";

/** The last row of a page, and whose list it was. */
export interface CursorPosition {
  tenantId: string;
  userId: string | undefined;
  createdAtMs: number;
  jobId: string;
}

/** No later than what a Date can hold. */
const Packed = z.tuple([z.int().min(0).max(8_640_000_000_000_000), JobId]);

/** Cursors of lists of jobs, of a tenant or of one of its end users. */
export function createJobCursor() {
  const scopeOf = ({ tenantId, userId }: Pick<CursorPosition, "tenantId" | "userId">) => [
    tenantId,
    userId ?? "",
  ];

  return {
    write: (position: CursorPosition): string =>
      writeCursor(scopeOf(position), [position.createdAtMs, position.jobId]),

    /** @throws ApiError invalid_request when it is not a cursor of this very list */
    read(cursor: string, list: Pick<CursorPosition, "tenantId" | "userId">): CursorPosition {
      const packed = Packed.safeParse(readCursor(cursor, scopeOf(list)));
      if (!packed.success) throw invalidCursor();
      const [createdAtMs, jobId] = packed.data;
      return { ...list, createdAtMs, jobId };
    },
  };
}
