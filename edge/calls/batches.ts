import {
  BatchAccepted,
  CreateSpeechBatchLoosely,
  GetBatch,
  MAX_BATCH_BYTES,
  SpeechItem,
  type Batch,
  type BatchEntry,
} from "../../shared/contracts/batches.ts";
import {
  BatchId,
  batchJobId,
  mintBatchId,
  readId,
  textUploadId,
} from "../../shared/contracts/ids.ts";
import { uploadKey } from "../../shared/contracts/object-keys.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { voiceId } from "../../shared/contracts/speech.ts";
import { ApiError, checkRequest, parseRequest } from "../../shared/errors/problem.ts";
import { batchWindow } from "../../shared/policies/batch-window.ts";
import { signAudioUrl } from "../../shared/signing/audio-url.ts";
import { parseJson, readJsonText } from "../admit/read-body.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import type { BatchKey } from "../ledger/batch-client.ts";
import type { BatchItemState } from "../ledger/batch-store.ts";
import type { JobDraft } from "../ledger/ledger-job.ts";
import type { EdgeServices } from "../services.ts";
import { baseUrl, json } from "./answer.ts";
import { draftSynthesis } from "./draft-synthesis.ts";

/** 16 MB from a slow client, and into a bucket. */
const BODY_WITHIN_MS = 120_000;
const TEXT_TIMEOUT_MS = 20_000;
const AUDIO_URL_LIFE_MS = 3_600_000;
/** Items that are read from the ledger at once. */
const MANIFEST_PAGE = 1_000;
/** Of what is told about an item that was wrong. */
const MAX_DETAIL_CHARS = 500;

type Wanted = ReturnType<typeof CreateSpeechBatchLoosely.parse>;

/**
 * `POST /v1/audio/speech/batch`: one job for each item. Their texts go into a region's bucket together, as one object of which each job
 * has a range. An item that is wrong becomes a job that fails; the others are none the worse for it.
 */
export function createSpeechBatch(services: EdgeServices) {
  const { config, router, once, holdBody, objects, dispatchBatch } = services;

  async function accept(
    c: EdgeContext,
    batchId: string,
    wanted: Wanted,
    candidates: readonly Region[],
  ): Promise<Response> {
    const { key } = c.get("caller");
    const { drafts, texts } = draftItems(c, batchId, wanted);
    const owner = { residency: key.residency, tenantId: key.tenant_id };
    const at = uploadKey(owner, textUploadId(batchId));
    await dispatchBatch({
      header: {
        id: batchId,
        items: drafts.length,
        deadline_at: drafts[0]!.deadline_at ?? null,
      },
      drafts,
      candidates,
      trace: traceOf(c),
      async bring(region) {
        if (texts.byteLength === 0) return;
        await objects.put(region, at, texts, "text/plain; charset=utf-8", TEXT_TIMEOUT_MS);
      },
    });
    // What follows from these two is left out: stored answers are short.
    return json({ batch_id: batchId, items: drafts.length }, 202);
  }

  async function take(c: EdgeContext, limit: number): Promise<Response> {
    const body = await readJsonText(c.req.raw, limit, BODY_WITHIN_MS);
    const wanted = parseRequest(CreateSpeechBatchLoosely, parseJson(body));
    const { residency } = c.get("caller").key;
    const candidates = router.candidates({ request: c.req.raw, residency });
    const mintId = () => mintBatchId(candidates[0]!);
    const kept = await once(c, { body, mintId }, (id) => accept(c, id, wanted, candidates));
    const { batch_id, items } = (await kept.clone().json()) as { batch_id: string; items: number };
    const status_url = `${baseUrl(c, config.publicUrl)}/v1/batches/${batch_id}`;
    const job_ids = Array.from({ length: items }, (_, n) => batchJobId(batch_id, n));
    const headers = { ...Object.fromEntries(kept.headers), location: status_url };
    return json(BatchAccepted.parse({ batch_id, job_ids, status_url }), 202, headers);
  }

  return (c: EdgeContext) => holdBody(c, MAX_BATCH_BYTES, (limit) => take(c, limit));
}

/** The jobs of a batch, and their texts one after the other. */
function draftItems(
  c: EdgeContext,
  batchId: string,
  { items, deadline_s, webhook_url }: Wanted,
): { drafts: JobDraft[]; texts: Uint8Array } {
  const encoder = new TextEncoder();
  const texts: Uint8Array[] = [];
  let offset = 0;
  const drafts = items.map((given, item) => {
    const shared = {
      priority: "batch" as const,
      batch: { id: batchId, item },
      deadline_s,
      ...(webhook_url === undefined ? {} : { webhook: { url: webhook_url } }),
    };
    const jobId = batchJobId(batchId, item);
    const read = checkRequest(SpeechItem, given);
    if (!read.ok) {
      const detail = read.errors
        .map(({ path, message }) => (path === "" ? message : `${path}: ${message}`))
        .join("; ")
        .slice(0, MAX_DETAIL_CHARS);
      return draftSynthesis(c, jobId, { ...shared, fault: { code: "invalid_request", detail } });
    }
    const { input, voice, response_format, speed, user_id, metadata } = read.data;
    const encoded = encoder.encode(input);
    const range = { offset, bytes: encoded.byteLength };
    texts.push(encoded);
    offset += encoded.byteLength;
    return draftSynthesis(c, jobId, {
      ...shared,
      speech: { text: range, voice: voiceId(voice), response_format, speed },
      ...(user_id === undefined ? {} : { user_id }),
      ...(metadata === undefined ? {} : { metadata }),
    });
  });
  const joined = new Uint8Array(offset);
  let at = 0;
  for (const each of texts) {
    joined.set(each, at);
    at += each.byteLength;
  }
  return { drafts, texts: joined };
}

/** What the calls that read a batch share. */
function createReadBatch({ config, batches, tombstones }: EdgeServices, now: () => number) {
  /** @throws ApiError batch_not_found */
  async function find(c: EdgeContext) {
    const id = BatchId.safeParse(c.req.param("id"));
    if (!id.success) throw new ApiError("batch_not_found");
    const batch = { id: id.data, tenant_id: c.get("caller").key.tenant_id };
    const header = await batches.find(batch);
    if (!header) throw new ApiError("batch_not_found");
    return { batch, header };
  }

  async function entryOf(c: EdgeContext, state: BatchItemState): Promise<BatchEntry> {
    const { item, job_id, status, offer } = state;
    const { tenant_id, residency } = c.get("caller").key;
    const { audio, error, region, finished_at, cost } = offer ?? {};
    let url: string | undefined;
    if (audio && region !== undefined) {
      const { sha256, extension } = audio;
      const address = { region, sha256, extension, residency, tenantId: tenant_id };
      const path = await signAudioUrl(config.audioUrlKeys, address, now() + AUDIO_URL_LIFE_MS);
      url = baseUrl(c, config.publicUrl) + path;
    }
    return {
      item,
      job_id,
      status,
      ...(finished_at === undefined ? {} : { finished_at }),
      ...(url === undefined ? {} : { audio_url: url }),
      ...(audio ? { audio_sha256: audio.sha256, duration_s: audio.duration_s } : {}),
      ...(error ? { error } : {}),
      ...(cost ? { cost_usd: cost.usd } : {}),
    };
  }

  async function page(
    c: EdgeContext,
    batch: BatchKey,
    from: number,
    to: number,
  ): Promise<BatchEntry[]> {
    const { tenant_id: tenantId, residency } = c.get("caller").key;
    const [findDeleted, states] = await Promise.all([
      tombstones.ofJobs({ tenantId, residency }),
      to > from ? batches.items(batch, from, to) : Promise.resolve([]),
    ]);
    const createdAtMs = readId(batch.id)!.createdAtMs;
    // A shard that is away may not have heard of it yet.
    const deleted = await findDeleted(
      states.map(({ job_id: id, user_id: userId }) => ({ id, createdAtMs, userId })),
    );
    return Promise.all(
      states.map(async (state): Promise<BatchEntry> => {
        const { item, job_id } = state;
        if (!deleted.has(job_id)) return entryOf(c, state);
        return { item, job_id, status: "deleted" };
      }),
    );
  }

  return { find, page };
}

/** `GET /v1/batches/{id}`: how a batch stands by the ledger, and one page of its manifest. */
export function getBatch(services: EdgeServices, now: () => number = Date.now) {
  const { config, batches } = services;
  const read = createReadBatch(services, now);

  return async (c: EdgeContext): Promise<Response> => {
    const { limit, cursor } = parseRequest(GetBatch, c.req.query());
    const { batch, header } = await read.find(c);
    const from = Math.min(Number(cursor?.slice(1) ?? 0), header.items);
    const to = Math.min(from + limit, header.items);
    const [counts, data] = await Promise.all([
      batches.counts(batch),
      read.page(c, batch, from, to),
    ]);
    const { open, succeeded, failed, canceled, last_finished_at } = counts;
    const createdAtMs = readId(batch.id)!.createdAtMs;
    const { finishMs, atRisk } = batchWindow({
      total: header.items,
      open,
      createdAtMs,
      nowMs: now(),
      deadlineAtMs: header.deadline_at === null ? undefined : Date.parse(header.deadline_at),
      lastFinishedAtMs: last_finished_at === null ? undefined : Date.parse(last_finished_at),
    });
    const answer: Batch = {
      id: batch.id,
      kind: "synthesis",
      status: open === 0 ? "done" : "open",
      created_at: new Date(createdAtMs).toISOString(),
      counts: {
        total: header.items,
        open,
        succeeded,
        failed,
        canceled,
        deleted: header.items - open - succeeded - failed - canceled,
      },
      window: {
        deadline_at: header.deadline_at,
        expected_finish_at: finishMs === undefined ? null : new Date(finishMs).toISOString(),
        at_risk: atRisk,
      },
      data,
      next_cursor: to < header.items ? `i${to}` : null,
      manifest_url: `${baseUrl(c, config.publicUrl)}/v1/batches/${batch.id}/manifest`,
    };
    return json(answer);
  };
}

/**
 * `GET /v1/batches/{id}/manifest`: all items, a line of JSON each. It is read from the ledger as it goes out, so that no copy of it has to
 * be kept in step with deletions.
 */
export function getBatchManifest(services: EdgeServices, now: () => number = Date.now) {
  const read = createReadBatch(services, now);

  return async (c: EdgeContext): Promise<Response> => {
    const { batch, header } = await read.find(c);
    const encoder = new TextEncoder();
    let from = 0;
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        if (from >= header.items) return controller.close();
        const to = Math.min(from + MANIFEST_PAGE, header.items);
        const entries = await read.page(c, batch, from, to);
        from = to;
        const lines = entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
        controller.enqueue(encoder.encode(lines));
      },
    });
    return new Response(body, { headers: { "content-type": "application/x-ndjson" } });
  };
}
