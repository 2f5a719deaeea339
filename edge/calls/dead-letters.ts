import type { z } from "zod";
import {
  DeadLetter,
  DiscardDeadLettersAnswer,
  ListDeadLetters,
  MarkReplayedAnswer,
  PickDeadLetters,
  readDeadLetterId,
  ReadDeadLettersAnswer,
  type DeadLetterList,
  type DiscardedDeadLetters,
  type ReplayedDeadLetters,
} from "../../shared/contracts/dead-letters.ts";
import { mintJobId, readId } from "../../shared/contracts/ids.ts";
import type { JobSpec } from "../../shared/contracts/job.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { parseJson, readJsonText } from "../admit/read-body.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import type { JobDraft } from "../ledger/ledger-job.ts";
import { log } from "../ops/log.ts";
import type { EdgeServices } from "../services.ts";
import { json } from "./answer.ts";

const TIMEOUT_MS = 5_000;
/** Letters of one call that replays all; the next ones by its cursor. */
const REPLAY_PAGE = 20;
/** Open connections that a Worker may have at once are six. */
const PARALLEL = 3;

type Replayed = ReplayedDeadLetters["data"][number];

/** The calls below `/v1/admin/dead-letters`. Letters lie in the region where their job failed, which their id names. */
export function deadLetterCalls({ config, router, callRegion, dispatchJob }: EdgeServices) {
  /** @throws ApiError */
  async function ask<T extends z.ZodType>(
    c: EdgeContext,
    region: Region,
    what: "list" | "read" | "replay" | "discard",
    body: unknown,
    answer: T,
  ): Promise<z.output<T>> {
    const outcome = await callRegion(region, {
      method: "POST",
      target: `/internal/dead-letters/${what}`,
      body,
      answer,
      timeoutMs: TIMEOUT_MS,
      trace: traceOf(c),
    });
    if (outcome.kind === "done") return outcome.value;
    throw outcome.error;
  }

  function regionOf(id: string): Region {
    const name = readDeadLetterId(id)?.region;
    const region = config.regions.find((known) => known.id === name);
    if (!region) throw new ApiError("not_found", "There is no such letter.");
    return region;
  }

  function regionsOf(name: string | undefined): Region[] {
    const named = config.regions.filter(({ id }) => name === undefined || id === name);
    if (named.length > 0) return named;
    throw new ApiError("invalid_request", "There is no such region.", {
      errors: [{ path: "region", message: "is not a region of this deployment" }],
    });
  }

  /** One page, the regions one after the other; those that are away are passed over and named. */
  async function page(
    c: EdgeContext,
    {
      region,
      limit,
      cursor,
    }: { region?: string | undefined; limit: number; cursor?: string | undefined },
  ): Promise<DeadLetterList> {
    const regions = regionsOf(region);
    const begun = cursor === undefined ? undefined : regionOf(cursor);
    const first = begun ? regions.findIndex(({ id }) => id === begun.id) : 0;
    if (first < 0) throw new ApiError("invalid_request", "The cursor is another region's.");
    const list: DeadLetterList = { data: [], next_cursor: null, away: [] };
    for (const [index, one] of regions.entries()) {
      if (index < first) continue;
      const after = index === first && cursor !== undefined ? { after: cursor } : {};
      const body = { limit: limit - list.data.length, ...after };
      const read = await ask(c, one, "list", body, ReadDeadLettersAnswer).catch(() => undefined);
      if (!read) {
        list.away.push(one.id);
        continue;
      }
      list.data.push(...read.data);
      if (read.more || list.data.length >= limit) {
        const more = read.more || index + 1 < regions.length;
        list.next_cursor = more ? (list.data.at(-1)?.id ?? null) : null;
        break;
      }
    }
    return list;
  }

  async function replay(c: EdgeContext, id: string): Promise<Replayed> {
    try {
      const region = regionOf(id);
      const body = { id, job_id: mintJobId(region) };
      const marked = await ask(c, region, "replay", body, MarkReplayedAnswer);
      const draft = redraft(marked.spec, marked.replayed_as, traceOf(c));
      const candidates = router.candidates({
        request: c.req.raw,
        residency: draft.residency,
        home: readId(draft.upload_id)?.region.id ?? region.id,
      });
      await dispatchJob(draft, candidates, traceOf(c));
      return { id, replayed_as: marked.replayed_as };
    } catch (error) {
      const { code, message } = error instanceof ApiError ? error : new ApiError("internal");
      return { id, error: { code, detail: message } };
    }
  }

  async function read(c: EdgeContext, schema = PickDeadLetters): Promise<PickDeadLetters> {
    return parseRequest(schema, parseJson(await readJsonText(c.req.raw)));
  }
  const by = (c: EdgeContext) => ({
    by: c.get("caller").key.key_id,
    request_id: c.get("requestId"),
  });

  return {
    list: async (c: EdgeContext): Promise<Response> =>
      json(await page(c, parseRequest(ListDeadLetters, c.req.query()))),

    async get(c: EdgeContext): Promise<Response> {
      const id = c.req.param("id") ?? "";
      return json(await ask(c, regionOf(id), "read", { id }, DeadLetter));
    },

    /** Each as a new job under an id of its own; one that was replayed before keeps the id that it got then. */
    async replay(c: EdgeContext): Promise<Response> {
      const picked = await read(c);
      const all = "ids" in picked ? undefined : await page(c, { ...picked, limit: REPLAY_PAGE });
      const ids =
        "ids" in picked
          ? picked.ids
          : all!.data.filter(({ replayed_as }) => replayed_as === undefined).map(({ id }) => id);
      const data: Replayed[] = [];
      const queue = ids.entries();
      const runner = async () => {
        for (const [index, id] of queue) data[index] = await replay(c, id);
      };
      await Promise.all(Array.from({ length: PARALLEL }, runner));
      const done = data.filter(({ error }) => !error).length;
      log("info", "replayed dead letters", { ...by(c), asked: ids.length, done });
      const answer: ReplayedDeadLetters = {
        data,
        next_cursor: all?.next_cursor ?? null,
        away: all?.away ?? [],
      };
      return json(answer);
    },

    async discard(c: EdgeContext): Promise<Response> {
      const picked = await read(c);
      const orders: [Region, object][] =
        "ids" in picked
          ? Array.from(
              Map.groupBy(picked.ids, (id) => regionOf(id)),
              ([region, ids]) => [region, { ids }],
            )
          : regionsOf(picked.region).map((region) => [region, { all: true }]);
      const answer: DiscardedDeadLetters = { discarded: 0, away: [] };
      for (const [region, order] of orders) {
        const done = await ask(c, region, "discard", order, DiscardDeadLettersAnswer).catch(
          () => undefined,
        );
        if (done) answer.discarded += done.discarded;
        else answer.away.push(region.id);
      }
      log("info", "discarded dead letters", { ...by(c), ...answer });
      return json(answer);
    },
  };
}

/** The same work as a new job: it begins now, and has as long as the old one had. */
function redraft(spec: JobSpec, id: string, trace: ReturnType<typeof traceOf>): JobDraft {
  const { dispatch: _, not_before: _later, deadline_at, batch: _batch, ...work } = spec;
  const createdAtMs = readId(id)!.createdAtMs;
  const left = deadline_at && Date.parse(deadline_at) - Date.parse(spec.created_at);
  return {
    ...work,
    id,
    created_at: new Date(createdAtMs).toISOString(),
    ...(left ? { deadline_at: new Date(createdAtMs + left).toISOString() } : {}),
    request_id: trace.requestId,
    ...(trace.traceparent === undefined ? {} : { traceparent: trace.traceparent }),
  };
}
