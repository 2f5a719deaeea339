import { z } from "zod";
import { Sha256Hex } from "./ids.ts";

/**
 * A model or engine, and whether it is installed. `id`, `object`, `created` and `owned_by` are OpenAI's; the rest says what it
 * is for, what may be done with it, and the command that brings it.
 */
export const ModelInfo = z
  .strictObject({
    id: z.string(),
    object: z.literal("model"),
    created: z.int().min(0).meta({
      description:
        "Unix seconds: when it was published, else when it was pulled here; 0 where neither is known",
    }),
    owned_by: z.string(),
    task: z.enum([
      "voice_activity",
      "transcribe",
      "emotion",
      "age_sex",
      "synthesize",
      "speaker_embedding",
    ]),
    version: z.string(),
    /** Of the file that is run; null where there is none, or none that is known yet. */
    model_sha256: Sha256Hex.nullable(),
    licence: z.string(),
    commercial_use: z.boolean(),
    quality: z.enum(["full", "fallback"]),
    /** ISO 639-1; absent where it knows no language, or very many. */
    languages: z.array(z.string()).optional(),
    memory_mb: z.number().min(0),
    installed: z.boolean(),
    /** Why it cannot be used, where it cannot. */
    reason: z.string().optional(),
    install: z.string().optional(),
  })
  .meta({ id: "ModelInfo" });
export type ModelInfo = z.infer<typeof ModelInfo>;

export const ModelList = z
  .strictObject({ object: z.literal("list"), data: z.array(ModelInfo) })
  .meta({ id: "ModelList" });
export type ModelList = z.infer<typeof ModelList>;
