import type { Redis } from "ioredis";
import { ErrorCode } from "../../shared/errors/catalogue.ts";
import { queueKeys } from "./queue-keys.ts";
import type { AttemptRecord, DeadLetter, DeadLetters } from "./queue-port.ts";
import type { RunScript } from "./redis-scripts.ts";

const PAGE = 50;
const isEntryId = (id: string) => /^\d{1,20}-\d{1,20}$/.test(id);

/** The dead letters of a region: a stream, never trimmed, and beside it the marks of what was replayed. */
export function createRedisDeadLetters(redis: Redis, script: RunScript): DeadLetters {
  async function read(entries: [string, string[]][]): Promise<DeadLetter[]> {
    if (entries.length === 0) return [];
    const marks = await redis.hmget(queueKeys.replayed, ...entries.map(([id]) => id));
    return entries.map(([id, fields], index) => toLetter(id, fields, marks[index] ?? undefined));
  }

  return {
    async list({ after, limit = PAGE } = {}) {
      if (after !== undefined && !isEntryId(after)) return { data: [] };
      const from = after === undefined ? "-" : `(${after}`;
      const entries = await redis.xrange(queueKeys.dead, from, "+", "COUNT", limit + 1);
      const data = await read(entries.slice(0, limit));
      return entries.length > limit ? { data, next: data.at(-1)!.id } : { data };
    },
    async get(id) {
      if (!isEntryId(id)) return undefined;
      const [letter] = await read(await redis.xrange(queueKeys.dead, id, id));
      return letter;
    },
    async markReplayed(id, newJobId) {
      if (!isEntryId(id)) return undefined;
      const mark = (await script("mark-replayed", [id, newJobId])) as string;
      return mark === "" ? undefined : mark;
    },
    async discard(ids) {
      if (ids !== "all") {
        const known = ids.filter(isEntryId);
        return known.length === 0 ? 0 : ((await script("discard-dead", known)) as number);
      }
      let discarded = 0;
      for (;;) {
        const entries = await redis.xrange(queueKeys.dead, "-", "+", "COUNT", 500);
        if (entries.length === 0) return discarded;
        discarded += (await script(
          "discard-dead",
          entries.map(([id]) => id),
        )) as number;
      }
    },
  };
}

function toLetter(id: string, list: string[], replayedAs: string | undefined): DeadLetter {
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < list.length; i += 2) fields.set(list[i]!, list[i + 1]!);
  const text = (name: string) => fields.get(name) ?? "";
  return {
    id,
    jobId: text("job"),
    tenantId: text("tenant"),
    epoch: { dispatch: Number(text("dispatch")), attempt: Number(text("attempt")) },
    at: new Date(Number(text("at"))).toISOString(),
    code: ErrorCode.catch("internal").parse(text("code")),
    reason: text("reason"),
    history: JSON.parse(`[${text("history")}]`) as AttemptRecord[],
    spec: text("spec"),
    ...(replayedAs === undefined ? {} : { replayedAs }),
  };
}
