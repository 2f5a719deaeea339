import { Hono } from "hono";
import {
  DeadLetter as DeadLetterContract,
  deadLetterId,
  DeadLetterSpec,
  DiscardDeadLetters,
  DiscardDeadLettersAnswer,
  MarkReplayed,
  MarkReplayedAnswer,
  ReadDeadLetter,
  readDeadLetterId,
  ReadDeadLetters,
  ReadDeadLettersAnswer,
} from "../../shared/contracts/dead-letters.ts";
import type { JobSpec } from "../../shared/contracts/job.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { DeadLetter, Queue } from "../queue/queue-port.ts";
import { readSpec } from "../queue/read-spec.ts";
import type { AuditLog } from "../store/audit-log.ts";
import { actorOf } from "./actor-of.ts";
import type { ApiEnv } from "./api-context.ts";
import { parseBody } from "./parse-body.ts";

export interface DeadLetterRoutesParts {
  region: Region;
  queue: Pick<Queue, "deadLetters">;
  /** Acts are written down before they are done: none goes unrecorded. */
  audit: AuditLog;
}

/** `/internal/dead-letters`: for operators, by way of the edge, which has checked that they are. */
export function createDeadLetterRoutes({
  region,
  queue,
  audit,
}: DeadLetterRoutesParts): Hono<ApiEnv> {
  const { deadLetters } = queue;

  function entryOf(id: string): string {
    const read = readDeadLetterId(id);
    if (read?.region !== region.id) throw new ApiError("not_found", "There is no such letter.");
    return read.entry;
  }
  async function find(id: string): Promise<DeadLetter> {
    const letter = await deadLetters.get(entryOf(id));
    if (!letter) throw new ApiError("not_found", "There is no such letter.");
    return letter;
  }
  const summarize = (letter: DeadLetter) => ({
    id: deadLetterId(region.id, letter.id),
    region: region.id,
    job_id: letter.jobId,
    tenant_id: letter.tenantId,
    epoch: letter.epoch,
    at: letter.at,
    code: letter.code,
    reason: letter.reason,
    ...(letter.replayedAs === undefined ? {} : { replayed_as: letter.replayedAs }),
  });

  return new Hono<ApiEnv>()
    .post("/internal/dead-letters/list", async (c) => {
      const { limit, after } = parseBody(c, ReadDeadLetters);
      const from = after === undefined ? {} : { after: entryOf(after) };
      const { data, next } = await deadLetters.list({ limit, ...from });
      const answer = { data: data.map(summarize), more: next !== undefined };
      return c.json(ReadDeadLettersAnswer.parse(answer));
    })
    .post("/internal/dead-letters/read", async (c) => {
      const letter = await find(parseBody(c, ReadDeadLetter).id);
      const spec = specOf(letter);
      return c.json(
        DeadLetterContract.parse({
          ...summarize(letter),
          history: letter.history,
          spec: spec ? withoutContent(spec) : null,
        }),
      );
    })
    .post("/internal/dead-letters/replay", async (c) => {
      const { id, job_id } = parseBody(c, MarkReplayed);
      const letter = await find(id);
      const spec = specOf(letter);
      if (!spec) {
        throw new ApiError("not_replayable", "Its specification is not what the contract says.");
      }
      const as = letter.replayedAs ?? job_id;
      await audit.write(
        {
          action: "dead_letter.replay",
          target: id,
          details: { job_id: letter.jobId, tenant_id: letter.tenantId, replayed_as: as },
        },
        actorOf(c),
        { signal: c.req.raw.signal },
      );
      const replayed_as = await deadLetters.markReplayed(letter.id, job_id);
      if (replayed_as === undefined) throw new ApiError("not_found", "There is no such letter.");
      return c.json(MarkReplayedAnswer.parse({ replayed_as, tenant_id: letter.tenantId, spec }));
    })
    .post("/internal/dead-letters/discard", async (c) => {
      const picked = parseBody(c, DiscardDeadLetters);
      const ids = "all" in picked ? "all" : picked.ids.map(entryOf);
      await audit.write(
        { action: "dead_letter.discard", target: region.id, details: picked },
        actorOf(c),
        { signal: c.req.raw.signal },
      );
      const discarded = await deadLetters.discard(ids);
      return c.json(DiscardDeadLettersAnswer.parse({ discarded }));
    });
}

function specOf({ spec, jobId, tenantId, epoch }: DeadLetter): JobSpec | undefined {
  const job = { id: jobId, tenantId, dispatch: epoch.dispatch };
  const read = readSpec(spec, job);
  return read.unreadable ? undefined : read.spec;
}

/** What a specification says of the work; what it says of people stays here. */
function withoutContent(spec: JobSpec) {
  const shown = Object.keys(DeadLetterSpec.shape);
  return Object.fromEntries(Object.entries(spec).filter(([name]) => shown.includes(name)));
}
