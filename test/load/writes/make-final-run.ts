import type { OutboxEnvelope } from "../../../shared/contracts/completion.ts";
import { egemapsNames } from "../../../shared/contracts/egemaps-names.ts";
import { mintJobId } from "../../../shared/contracts/ids.ts";
import { findRegion } from "../../../shared/contracts/regions.ts";

const REGION = findRegion("us-east")!;
const STAGES = ["decode", "voice_activity", "features", "emotion"];

/**
 * A run as a worker leaves it for a recording of half a minute of a global tenant: a whole job row, all 88 features and
 * what stands beside them (but no tracks, which would only add bytes), and five rows of usage.
 * @param random 0 to 1, so that a bench repeats
 * @param atMs when it was accepted
 */
export function makeFinalRun(random: () => number, atMs: number): OutboxEnvelope {
  const id = mintJobId(REGION, {
    now: () => atMs,
    randomBytes: (length) => Uint8Array.from({ length }, () => Math.floor(random() * 256)),
  });
  const tenant_id = `ten_${Math.floor(random() * 50)}`;
  const epoch = { dispatch: 1, attempt: 1 };
  const duration_s = 20 + random() * 20;
  const stages = STAGES.map((stage) => {
    const seconds = random();
    return { stage, seconds, usd: seconds * 0.0000111 };
  });
  const usd = stages.reduce((sum, stage) => sum + stage.usd, 0);
  const sha256 = Array.from({ length: 64 }, () => Math.floor(random() * 16).toString(16)).join("");
  const [started_at, finished_at] = [atMs + 150, atMs + 1900].map((ms) =>
    new Date(ms).toISOString(),
  ) as [string, string];
  return {
    v: 1,
    type: "job.final",
    job: {
      id,
      tenant_id,
      kind: "analysis",
      residency: "global",
      region: REGION.id,
      priority: "standard",
      epoch,
      status: "succeeded",
      error_code: null,
      user_id: `user-${Math.floor(random() * 1000)}`,
      metadata: { call: String(Math.floor(random() * 1e9)), campaign: "spring" },
      audio_sha256: sha256,
      audio_duration_s: duration_s,
      result_key: `results/global/${tenant_id}/${id}/1-1.json`,
      created_at: new Date(atMs).toISOString(),
      started_at,
      finished_at,
      usd,
    },
    result: {
      audio: {
        sha256,
        bytes: Math.round(duration_s * 32_000),
        duration_s,
        sample_rate_hz: 16_000,
        channels: 1,
        codec: "pcm_s16le",
        container: "wav",
      },
      features: {
        set: "eGeMAPSv02",
        values: Object.fromEntries(egemapsNames.map((name) => [name, random() * 100 - 50])),
      },
      voice_activity: {
        speech_ratio: random(),
        segments: Array.from({ length: 8 }, (_, i) => ({
          start_s: i * 3 + random(),
          end_s: i * 3 + 1 + random(),
        })),
      },
      engines: { features: { name: "antiphon-egemaps", version: "1" } },
      cost: { usd, stages },
      epoch,
      region: REGION.id,
    },
    usage: [
      ...stages.map(({ stage, seconds, usd: price }) => ({
        job_id: id,
        tenant_id,
        stage,
        quantity: seconds,
        unit: "compute_second" as const,
        usd: price,
      })),
      {
        job_id: id,
        tenant_id,
        stage: "audio",
        quantity: duration_s,
        unit: "audio_second" as const,
        usd: 0,
      },
    ],
  };
}
