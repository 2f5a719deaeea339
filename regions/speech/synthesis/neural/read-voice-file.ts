import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { z } from "zod";
import type { ReadyModel } from "../../models/resolve-model.ts";
import { SynthesisError } from "../synthesis-error.ts";

/**
 * A small file of a model, once it proved to be the one that the manifest means.
 * @throws {SynthesisError} voice_model_missing | voice_model_corrupt
 */
export function readVoiceFile({ files, entry }: ReadyModel, path: string): Buffer<ArrayBuffer> {
  const file = files.get(path);
  let bytes: Buffer<ArrayBuffer>;
  try {
    if (file === undefined) throw new Error("it is not in the manifest");
    bytes = readFileSync(file.path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SynthesisError("voice_model_missing", `${entry.name} has no ${path}: ${reason}`);
  }
  if (createHash("sha256").update(bytes).digest("hex") !== file.sha256) {
    throw new SynthesisError(
      "voice_model_corrupt",
      `${path} of ${entry.name} is not the file that the manifest means.`,
    );
  }
  return bytes;
}

/**
 * The same for JSON, by its schema.
 * @throws {SynthesisError} voice_model_missing | voice_model_corrupt
 */
export function readVoiceJson<T extends z.ZodType>(
  model: ReadyModel,
  path: string,
  schema: T,
): z.output<T> {
  const bytes = readVoiceFile(model, path);
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString("utf8"));
  } catch {
    throw new SynthesisError("voice_model_corrupt", `${path} of ${model.entry.name} is not JSON.`);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new SynthesisError(
    "voice_model_corrupt",
    `${path} of ${model.entry.name} is not what a voice needs: ${faults.join("; ")}`,
  );
}
