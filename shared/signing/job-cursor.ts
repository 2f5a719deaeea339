import { JobId, readId } from "../contracts/ids.ts";
import { ApiError } from "../errors/problem.ts";
import { toBase64Url } from "./bytes.ts";

export interface JobPosition {
  createdAtMs: number;
  id: string;
}

const invalid = () =>
  new ApiError("invalid_request", "The cursor is not one of this list.", {
    errors: [{ path: "cursor", message: "use `next_cursor` of the page before, unchanged" }],
  });

const encoder = new TextEncoder();

async function tagOf(body: string, scope: readonly string[]): Promise<string> {
  const text = ["antiphon-cursor-v2", ...scope, body].join("\n");
  const hash = await crypto.subtle.digest("SHA-256", encoder.encode(text));
  return toBase64Url(new Uint8Array(hash).subarray(0, 12));
}

/**
 * Cursors of a tenant's list of jobs, in the form of the regions' own (regions/store/list-cursor.ts): a page here may end with a job
 * that no region has a row of yet, and the next is asked of regions by the same cursor. The checksum covers whose list it is.
 */
export function createEdgeJobCursor({
  tenantId,
  userId,
}: {
  tenantId: string;
  userId?: string | undefined;
}) {
  const scope = [tenantId, userId ?? ""];
  return {
    async write({ createdAtMs, id }: JobPosition): Promise<string> {
      const body = toBase64Url(encoder.encode(JSON.stringify([createdAtMs, id])));
      return `${body}.${await tagOf(body, scope)}`;
    },
    /** @throws ApiError invalid_request for what is no cursor of this very list */
    async read(cursor: string): Promise<JobPosition> {
      const match = /^([\w-]{8,200})\.([\w-]{16})$/.exec(cursor);
      if (!match || (await tagOf(match[1]!, scope)) !== match[2]) throw invalid();
      try {
        const text = atob(match[1]!.replaceAll("-", "+").replaceAll("_", "/"));
        const [createdAtMs, id] = JSON.parse(text) as [number, string];
        if (JobId.safeParse(id).success && readId(id)!.createdAtMs === createdAtMs) {
          return { createdAtMs, id };
        }
      } catch {
        // Ours by its checksum, but of no list of jobs.
      }
      throw invalid();
    },
  };
}
