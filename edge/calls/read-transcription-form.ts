import { readSpokenLanguage } from "../../shared/contracts/spoken-language.ts";
import { TranscriptionForm } from "../../shared/contracts/transcription.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { readBytes } from "../admit/read-body.ts";
import { MAX_RAW_BYTES } from "./raw-audio.ts";

/** What a form has besides its file. */
const FORM_OVERHEAD_BYTES = 64 * 1024;
/** Largest form that is read. */
export const MAX_FORM_BYTES = MAX_RAW_BYTES + FORM_OVERHEAD_BYTES;
const GRANULARITIES = "timestamp_granularities[]";

export interface TranscriptionRequest {
  file: File;
  form: TranscriptionForm;
}

/**
 * OpenAI's form. It is held in memory whole: where its file ends, and so how long it is, is only known at its end.
 * @throws ApiError unsupported_media_type | body_too_large | invalid_request | audio_empty | language_unsupported
 */
export async function readTranscriptionForm(
  request: Request,
  limit: number = MAX_FORM_BYTES,
): Promise<TranscriptionRequest> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^multipart\/form-data\s*;/i.test(type)) {
    throw new ApiError(
      "unsupported_media_type",
      "Send multipart/form-data with the recording as `file`.",
    );
  }
  const bytes = await readBytes(request, limit);
  const data = await parseForm(bytes, type);
  const fields: Record<string, unknown> = {};
  for (const [name, value] of data) if (typeof value === "string") fields[name] = value;
  const granularities = [...data.getAll(GRANULARITIES), ...data.getAll("timestamp_granularities")];
  if (granularities.length > 0) fields[GRANULARITIES] = granularities;
  const form = parseRequest(TranscriptionForm, fields);
  const file = data.get("file");
  if (!(file instanceof File)) {
    throw new ApiError("invalid_request", "Some fields are not valid.", {
      errors: [{ path: "file", message: "must be a file" }],
    });
  }
  if (file.size === 0) throw new ApiError("audio_empty");
  if (file.size > MAX_RAW_BYTES) {
    throw new ApiError("body_too_large", `A file may have ${MAX_RAW_BYTES} bytes at most.`);
  }
  if (form.language === undefined) return { file, form };
  return { file, form: { ...form, language: requireLanguage(form.language) } };
}

async function parseForm(bytes: Uint8Array<ArrayBuffer>, type: string): Promise<FormData> {
  try {
    return await new Response(bytes, { headers: { "content-type": type } }).formData();
  } catch {
    throw new ApiError("invalid_request", "The body is not the form that its content type says.");
  }
}

/** Takes `en`, `EN-us` and `english` alike; whether an engine here knows it, its region says. */
function requireLanguage(language: string): string {
  const code = readSpokenLanguage(language);
  if (code !== undefined) return code;
  throw new ApiError("language_unsupported", `No engine knows the language ${language}.`, {
    errors: [{ path: "language", message: "must be an ISO 639-1 code such as en, or absent" }],
  });
}
