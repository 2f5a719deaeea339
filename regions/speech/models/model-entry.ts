import { z } from "zod";

/** What a model is for. */
export const modelTasks = [
  "voice_activity",
  "transcribe",
  "emotion",
  "age_sex",
  "synthesize",
  "speaker_embedding",
] as const;
export type ModelTask = (typeof modelTasks)[number];

const word = /^[a-z0-9][a-z0-9._-]{0,63}$/i;

/**
 * A relative path that means the same on every file system and can lead nowhere else: plain names between slashes, none of
 * which starts with a dot. `.part` is what an unfinished download is called.
 */
export const ModelPath = z
  .string()
  .max(200)
  .regex(/^(?:[A-Za-z0-9_][A-Za-z0-9._+@-]*\/){0,7}[A-Za-z0-9_][A-Za-z0-9._+@-]*$/, {
    error: "is not a plain relative path",
  })
  .refine((path) => !/(?:^|\/)[^/]*\.(?:part|part\.json)(?:\/|$)/i.test(path), "ends in .part")
  .refine((path) => !/\.(?:\/|$)/.test(path), "has a name that ends in a dot");

/** A tensor that goes into a model or comes out of it. */
export const Tensor = z.strictObject({
  type: z.enum(["float32", "float16", "int64", "int32", "uint8", "int8", "bool", "string"]),
  /** A number where the size is fixed, a name where it is not; the same name is the same size. Empty for a scalar. */
  shape: z.array(z.union([z.int().positive(), z.string().regex(/^[a-z][a-z0-9_ +*/-]*$/)])),
  /** What it means, for people. */
  about: z.string().optional(),
});
export type Tensor = z.infer<typeof Tensor>;

export const ModelFileEntry = z.strictObject({
  path: ModelPath,
  bytes: z.int().positive(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, { error: "is not a SHA-256 in lower-case hex" }),
  /** Of a file that is a graph: its tensors by name. */
  inputs: z.record(z.string(), Tensor).optional(),
  outputs: z.record(z.string(), Tensor).optional(),
});
export type ModelFileEntry = z.infer<typeof ModelFileEntry>;

/** A model as data: what it does, where its files come from, what they must hash to, and what may be done with it. */
export const ModelEntry = z.strictObject({
  /** Names the folder that it is installed in, with `version`. */
  name: z.string().regex(word),
  version: z.string().regex(word),
  task: z.enum(modelTasks),
  source: z.discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("npm"),
      package: z.string().regex(/^(?:@[a-z0-9-][a-z0-9._-]*\/)?[a-z0-9-][a-z0-9._-]*$/),
    }),
    z.strictObject({
      type: z.literal("huggingface"),
      repo: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*\/[A-Za-z0-9][A-Za-z0-9._-]*$/),
      revision: z
        .string()
        .regex(/^[0-9a-f]{40}$/, { error: "is not a commit; a branch or tag can move" }),
    }),
  ]),
  /** The first one is what a task with a single graph loads. */
  files: z.array(ModelFileEntry).min(1).max(500).superRefine(refuseClashes),
  /** SPDX identifier or expression. */
  licence: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.+() -]*$/),
  /** Whether the licence lets one earn money with it. */
  commercial_use: z.boolean(),
  /** Memory of one loaded copy, MB. */
  memory_mb: z.number().positive(),
});
export type ModelEntry = z.infer<typeof ModelEntry>;

/** Paths that could not lie beside each other, also where upper and lower case are one. */
function refuseClashes(files: ModelFileEntry[], context: z.RefinementCtx): void {
  const seen = new Set<string>();
  for (const { path } of files) {
    const own = path.toLowerCase();
    for (const other of seen) {
      if (own === other || own.startsWith(`${other}/`) || other.startsWith(`${own}/`)) {
        context.addIssue({ code: "custom", message: `${path} clashes with another file` });
      }
    }
    seen.add(own);
  }
}
