import { createHash } from "node:crypto";
import { type Owner, stageKey } from "../../shared/contracts/object-keys.ts";
import type { StageName } from "../../shared/contracts/stages.ts";

/** A recording of a tenant. */
export interface Recording {
  owner: Owner;
  sha256: string;
}

/** Days for which each stage's outcome is kept: what is measured for a week, what is predicted, and the facts, for thirty. */
export const daysKept: Record<StageName, 7 | 30> = {
  voice_activity: 7,
  features: 7,
  speaking_rate: 7,
  decode: 30,
  transcript: 30,
  emotion: 30,
  age: 30,
  sex: 30,
};

export const lives = [7, 30] as const;

/**
 * Names in Redis and in the bucket. All of a recording is found from its tenant and hash alone: two hashes in Redis, one for
 * each life, whose fields are the entries; and objects below two prefixes. They share a slot, apart from the queue's.
 */
export const stageKeys = {
  recording: ({ owner, sha256 }: Recording, days: number) =>
    `{antiphon-stages}:${days}d:${owner.residency}:${owner.tenantId}:${sha256}`,
  /** Every key of `recording`, by when it ends (Unix ms), and how much each holds. */
  index: "{antiphon-stages}:index",
  sizes: "{antiphon-stages}:sizes",
  /** Bytes of all. */
  total: "{antiphon-stages}:total",
  plans: "{antiphon-stages}:plans",
  object: ({ owner, sha256 }: Recording, days: number, entry: string) =>
    stageKey(days, owner, sha256, entry),
};

/** The name of a stage's outcome among those of its recording. */
export function entryOf(stage: StageName, identity: string): string {
  const hash = createHash("sha256").update(identity).digest("hex");
  return `${stage}-${hash.slice(0, 32)}`;
}
