import { z } from "zod";
import { ClassifierSpec } from "./classifier-spec.ts";

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

/** SHA-256 in hex. */
export const Sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/, { error: "is not a SHA-256 in lower-case hex" });

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

/**
 * A file of a model. Its length and hash stand here, or both are left to the first pull, which takes them from the hub and
 * keeps them: see `model-pins.ts`.
 */
export const ModelFileEntry = z
  .strictObject({
    path: ModelPath,
    bytes: z.int().positive().optional(),
    sha256: Sha256.optional(),
    /** Of a file that is a graph: its tensors by name. */
    inputs: z.record(z.string(), Tensor).optional(),
    outputs: z.record(z.string(), Tensor).optional(),
  })
  .refine(({ bytes, sha256 }) => (bytes === undefined) === (sha256 === undefined), {
    error: "has a length or a hash but not both",
  });
export type ModelFileEntry = z.infer<typeof ModelFileEntry>;

const commit = /^[0-9a-f]{40}$/;

/** A model as data: what it does, where its files come from, what they must hash to, and what may be done with it. */
export const ModelEntry = z
  .strictObject({
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
        /** A commit; a branch or tag only where the first pull is to find the commit. */
        revision: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/),
      }),
    ]),
    /** The first one is what a task with a single graph loads. */
    files: z.array(ModelFileEntry).min(1).max(500).superRefine(refuseClashes),
    /** When the files of `source` were published, where that is known. */
    published: z.iso.datetime().optional(),
    /** SPDX identifier or expression. */
    licence: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.+() -]*$/),
    /** Whether the licence lets one earn money with it. */
    commercial_use: z.boolean(),
    /** Memory of one loaded copy, MB. */
    memory_mb: z.number().positive(),
    /** What to expect of it: `fallback` stands in until something better is installed. */
    quality: z.enum(["full", "fallback"]).optional(),
    /** ISO 639-1; absent where a model knows no language, or very many. */
    languages: z.array(z.string().regex(/^[a-z]{2,3}$/)).optional(),
    /** The one to propose where none for its task is installed. */
    suggested: z.boolean().optional(),
    /** What a model for transcripts is run as; `whisper` when absent. */
    transcriber: z.enum(["whisper", "moonshine"]).optional(),
    /** How a classifier is fed and what its outputs mean. */
    classifier: ClassifierSpec.optional(),
    /** Of what this entry says: what nobody has seen to be so on the files themselves, for people. */
    unverified: z.string().optional(),
  })
  .superRefine(({ source, files }, context) => {
    const isCommit = source.type === "npm" || commit.test(source.revision);
    const isHashed = files.every(({ sha256 }) => sha256 !== undefined);
    if (!isCommit && isHashed) {
      context.addIssue({
        code: "custom",
        path: ["source", "revision"],
        message: "is not a commit; a branch or tag can move",
      });
    }
    if (source.type === "npm" && !isHashed) {
      context.addIssue({ code: "custom", path: ["files"], message: "of a package have no hash" });
    }
  });
export type ModelEntry = z.infer<typeof ModelEntry>;

/** A file whose length and hash are known. */
export interface PinnedFile extends ModelFileEntry {
  bytes: number;
  sha256: string;
}

/** A model of which every byte is known: by its manifest, or by the pins of its first pull. */
export interface PinnedModel extends ModelEntry {
  files: PinnedFile[];
  /** When the first pull pinned it; absent where the manifest does. */
  pinned_at?: string;
}

/** Whether every byte of a model is known, so that it can be checked. */
export function isPinned(entry: ModelEntry): entry is PinnedModel {
  return (
    entry.files.every(({ sha256 }) => sha256 !== undefined) &&
    (entry.source.type === "npm" || commit.test(entry.source.revision))
  );
}

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
