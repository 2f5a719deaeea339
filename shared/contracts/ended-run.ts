import type { CompletionOffer, OutboxEnvelope } from "./completion.ts";
import { compareEpochs } from "./epoch.ts";

type EnvelopeJob = OutboxEnvelope["job"];

/** A run that has ended: what it offers to the ledger, and what goes into the database once the ledger has accepted it. */
interface EndedRun {
  offer: CompletionOffer;
  envelope: OutboxEnvelope;
}

/** What an envelope usually says of its job because the offer says it. */
function saidByOffer(offer: CompletionOffer): Partial<EnvelopeJob> {
  return {
    id: offer.job_id,
    tenant_id: offer.tenant_id,
    region: offer.region,
    epoch: offer.epoch,
    status: offer.status,
    error_code: offer.error?.code ?? null,
    user_id: null,
    metadata: null,
    audio_sha256: offer.audio?.sha256 ?? null,
    audio_duration_s: offer.audio?.duration_s ?? null,
    result_key: offer.result_key ?? null,
    started_at: offer.started_at,
    finished_at: offer.finished_at,
    usd: offer.cost?.usd,
  };
}

/**
 * An ended run as JSON, in which the envelope leaves out what the offer says. Redis has it on disk before it answers, and all of
 * it passes through a script.
 */
export function packEndedRun(run: EndedRun): string {
  const { offer, envelope } = run;
  const said: Record<string, unknown> = saidByOffer(offer);
  const all: Record<string, unknown> = envelope.job;
  const job: Record<string, unknown> = {};
  for (const field of Object.keys(all)) {
    if (all[field] !== said[field]) job[field] = all[field];
  }
  if (compareEpochs(envelope.job.epoch, offer.epoch) === 0) delete job["epoch"];
  return JSON.stringify({ ...run, envelope: { ...envelope, job } });
}

/** What packEndedRun left out comes back. Anything that it did not make comes back as it is, for a schema to find fault with. */
export function unpackEndedRun(packed: unknown): unknown {
  const run = packed as { offer?: CompletionOffer | null; envelope?: OutboxEnvelope | null } | null;
  if (!run?.offer || !run.envelope?.job) return packed;
  const job = { ...saidByOffer(run.offer), ...run.envelope.job };
  return { ...run, envelope: { ...run.envelope, job } };
}
