import {
  CreateSpeech,
  SPEECH_HEADERS,
  voiceId,
  VoiceList,
  type SpeakOrder,
} from "../../shared/contracts/speech.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { parseJson, readJsonText } from "../admit/read-body.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { json } from "./answer.ts";

/** To the first sound: a model that is loaded, one sentence, and those of others before it. */
const FIRST_BYTE_TIMEOUT_MS = 30_000;
const VOICES_TIMEOUT_MS = 5000;

/**
 * `POST /v1/audio/speech`, OpenAI's. The audio passes through as the region makes it. Equal orders give equal audio, so the
 * call may be repeated at will, here and by the client, with or without an idempotency key.
 */
export function createSpeech({ router, streamRegion, retries }: EdgeServices) {
  return async (c: EdgeContext): Promise<Response> => {
    const wanted = parseRequest(CreateSpeech, parseJson(await readJsonText(c.req.raw)));
    const { key } = c.get("caller");
    const order: SpeakOrder = {
      tenant_id: key.tenant_id,
      residency: key.residency,
      input: wanted.input,
      voice: voiceId(wanted.voice),
      response_format: wanted.response_format,
      speed: wanted.speed,
    };
    let last: ApiError | undefined;
    retries.began();
    for (const region of router.candidates({ request: c.req.raw, residency: key.residency })) {
      if (last && !retries.takes("speech")) break;
      const outcome = await streamRegion(region, {
        target: "/internal/speech",
        body: order,
        timeoutMs: FIRST_BYTE_TIMEOUT_MS,
        trace: traceOf(c),
        signal: c.req.raw.signal,
      });
      if (outcome.kind === "done") return passOn(outcome.response);
      // Another region may have the voice's model.
      if (outcome.kind === "refused" && outcome.error.code !== "voice_not_installed") {
        throw outcome.error;
      }
      last = outcome.error;
    }
    if (last?.status === 429 || last?.code === "voice_not_installed") throw last;
    throw new ApiError("region_unavailable", undefined, { cause: last });
  };
}

function passOn({ body, headers }: Response): Response {
  const answer = new Headers();
  for (const name of SPEECH_HEADERS) {
    const value = headers.get(name);
    if (value !== null) answer.set(name, value);
  }
  return new Response(body, { headers: answer });
}

/** `GET /v1/voices`: what the region can speak that would be asked first. */
export function listVoices({ router, readRegions }: EdgeServices) {
  return async (c: EdgeContext): Promise<Response> => {
    const { residency } = c.get("caller").key;
    const found = await readRegions(router.candidates({ request: c.req.raw, residency }), {
      method: "GET",
      target: "/internal/voices",
      answer: VoiceList,
      timeoutMs: VOICES_TIMEOUT_MS,
      trace: traceOf(c),
    });
    return json(found);
  };
}
