import { z } from "zod";
import { BatchId, JobId } from "./ids.ts";
import { DeadlineS, JobCost, JobError, Metadata, UserId } from "./job.ts";
import { CreateSpeech, VoiceName } from "./speech.ts";
import { WebhookUrl } from "./webhook-url.ts";

export const MAX_BATCH_ITEMS = 10_000;
/** Of the whole body. */
export const MAX_BATCH_BYTES = 16 * 1024 * 1024;

const { input, voice, ...spoken } = CreateSpeech.omit({ stream_format: true }).shape;
const DEFAULT_VOICE = voice.parse(undefined);
const otherNames = { text: "input", voice_id: "voice" } as const;

/**
 * One text of a batch, asked for as `POST /v1/audio/speech` asks for its own. Items began with `text` and `voice_id` for `input` and
 * `voice`, and these are still taken.
 */
export const SpeechItem = z
  .strictObject({
    input: input.optional().meta({ ...input.meta(), description: "English text" }),
    voice: VoiceName.optional().meta({ ...voice.meta(), default: DEFAULT_VOICE }),
    ...spoken,
    user_id: UserId.optional(),
    metadata: Metadata.optional(),
    text: input.optional().meta({ deprecated: true, description: "Taken for `input`" }),
    voice_id: VoiceName.optional().meta({ deprecated: true, description: "Taken for `voice`" }),
  })
  .superRefine((item, context) => {
    for (const [old, name] of Object.entries(otherNames) as ["text", "input"][]) {
      if (item[old] === undefined || item[name] === undefined) continue;
      const message = `is another name of \`${name}\`, which is there too`;
      context.addIssue({ code: "custom", path: [old], message });
    }
    if (item.input === undefined && item.text === undefined) {
      context.addIssue({ code: "custom", path: ["input"], message: "is missing" });
    }
  })
  .meta({
    id: "SpeechItem",
    override: { anyOf: [{ required: ["input"] }, { required: ["text"] }] },
  })
  .transform(({ text, voice_id, input: own = text, voice: named = voice_id, ...rest }) => ({
    ...rest,
    input: own!,
    voice: named ?? DEFAULT_VOICE,
  }));

const ofBatch = {
  deadline_s: DeadlineS.optional().meta({
    description:
      "Seconds from now by which it is to be done; items that are not fail with `deadline_exceeded`",
  }),
  webhook_url: WebhookUrl.optional().meta({ description: "Told of each item that has ended" }),
};

/** `POST /v1/audio/speech/batch`, as it is described. */
export const CreateSpeechBatch = z
  .strictObject({ items: z.array(SpeechItem).min(1).max(MAX_BATCH_ITEMS), ...ofBatch })
  .meta({ id: "CreateSpeechBatch" });

/** The same as it is read: what is wrong with one item is no fault of the others. */
export const CreateSpeechBatchLoosely = z.strictObject({
  items: z.array(z.unknown()).min(1).max(MAX_BATCH_ITEMS),
  ...ofBatch,
});

export const BatchAccepted = z
  .strictObject({
    batch_id: BatchId,
    job_ids: z.array(JobId).meta({ description: "One for each item, in their order" }),
    status_url: z.url(),
  })
  .meta({ id: "BatchAccepted" });
export type BatchAccepted = z.infer<typeof BatchAccepted>;

/** `open`: it waits or runs; its job tells which. `deleted`: by a deletion. */
const ItemStatus = z.enum(["open", "succeeded", "failed", "canceled", "deleted"]);

export const BatchEntry = z
  .strictObject({
    item: z.int().min(0).meta({ description: "Its place in the request" }),
    job_id: JobId,
    status: ItemStatus,
    finished_at: z.iso.datetime().optional(),
    audio_url: z.url().optional(),
    audio_sha256: z.string().optional(),
    duration_s: z.number().optional(),
    error: JobError.optional(),
    cost_usd: JobCost.shape.usd.optional(),
  })
  .meta({ id: "BatchEntry" });
export type BatchEntry = z.infer<typeof BatchEntry>;

const count = z.int().min(0);
export const Batch = z
  .strictObject({
    id: BatchId,
    kind: z.literal("synthesis"),
    status: z.enum(["open", "done"]),
    created_at: z.iso.datetime(),
    counts: z.strictObject({
      total: count,
      open: count,
      succeeded: count,
      failed: count,
      canceled: count,
      deleted: count,
    }),
    window: z.strictObject({
      deadline_at: z.iso.datetime().nullable(),
      expected_finish_at: z.iso.datetime().nullable().meta({
        description: "By how fast its items ended so far; when the last one ended, once it is done",
      }),
      at_risk: z.boolean(),
    }),
    data: z.array(BatchEntry).meta({ description: "One page of the manifest" }),
    next_cursor: z.string().nullable(),
    manifest_url: z
      .url()
      .meta({ description: "All items, a line of JSON each; asked for as this is" }),
  })
  .meta({ id: "Batch" });
export type Batch = z.infer<typeof Batch>;

/** Query of `GET /v1/batches/{id}`. */
export const GetBatch = z.object({
  limit: z.coerce.number().int().min(1).max(500).default(100),
  cursor: z
    .string()
    .regex(/^i\d{1,5}$/, "is no cursor of a batch")
    .optional()
    .meta({ description: "`next_cursor` of the page before" }),
});
