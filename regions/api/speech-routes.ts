import { Readable } from "node:stream";
import { Hono } from "hono";
import type { UsageEnvelope } from "../../shared/contracts/completion.ts";
import { mintSpeechId } from "../../shared/contracts/ids.ts";
import { speechKey } from "../../shared/contracts/object-keys.ts";
import { isPermitted, type Region } from "../../shared/contracts/regions.ts";
import {
  SpeakOrder,
  speechContentType,
  type SpeechFormat,
  type Voice,
} from "../../shared/contracts/speech.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { defaultPrices, type PriceTable } from "../../shared/policies/price.ts";
import type { Logger } from "../ops/logger.ts";
import type { Metrics } from "../ops/metrics.ts";
import type { ObjectStore } from "../store/object-store-port.ts";
import type { ApiEnv } from "./api-context.ts";
import { parseBody } from "./parse-body.ts";
import { createSpeechCache } from "./speech-cache.ts";

/** What was spoken, known at its end. */
interface SpeechSummary {
  characters: number;
  duration_s: number;
  engine_ms: number;
}

/** Makes speech; the synthesizer of regions/speech is one. */
export interface SpeechSource {
  /** The voices that can speak now. */
  voices(): Voice[];
  /** @throws ApiError what is wrong with the text or the voice */
  prepare(order: { input: string; voice: string; format: SpeechFormat; speed: number }): {
    /** Of all that the audio follows from, the hashes of the voice's model files among it. */
    contentKey: string;
    engine: string;
    sampleRate: number;
    audio(
      signal: AbortSignal,
      onEnd?: (summary: SpeechSummary) => void,
    ): AsyncGenerator<Uint8Array>;
  };
}

export interface SpeechRoutesParts {
  region: Region;
  objects: Pick<ObjectStore, "get" | "put">;
  speech: SpeechSource;
  logger: Logger;
  metrics: Metrics;
  prices?: PriceTable;
  /** Takes the usage of speech that was made; what was found again uses nothing. Never rejects. */
  recordUsage(usage: UsageEnvelope): Promise<void>;
  /** Texts that are spoken at once; further ones are told to come back. Cached speech does not count. */
  maxSpeaking?: number;
}

const BUSY_RETRY_S = "2";

/**
 * `POST /internal/speech`: audio, streamed as it is made, or as it was made before.
 * `GET /internal/voices`: who can speak it.
 */
export function createSpeechRoutes(parts: SpeechRoutesParts): Hono<ApiEnv> {
  const { region, objects, speech, metrics, recordUsage } = parts;
  const { prices = defaultPrices, maxSpeaking = 8 } = parts;
  const cache = createSpeechCache({ objects, logger: parts.logger });
  const answers = metrics.counter("antiphon_speech_total", "Texts spoken, by cache and format.");
  const seconds = metrics.counter("antiphon_speech_audio_seconds_total", "Seconds of speech made.");
  const working = metrics.gauge("antiphon_speech_speaking", "Texts that are being spoken.");
  let speaking = 0;
  metrics.onScrape(() => working.set(speaking));

  const app = new Hono<ApiEnv>();
  app.get("/internal/voices", (c) => c.json({ data: speech.voices() }));
  return app.post("/internal/speech", async (c) => {
    const began = performance.now();
    const order = parseBody(c, SpeakOrder);
    const { voice, response_format: format, speed, input } = order;
    if (!isPermitted(order.residency, region)) {
      throw new ApiError(
        "region_unavailable",
        `${region.id} may not hold what is bound to ${order.residency}.`,
      );
    }
    const prepared = speech.prepare({ input, voice, format, speed });
    const owner = { residency: order.residency, tenantId: order.tenant_id };
    const key = speechKey(owner, prepared.contentKey, format);
    const gone = c.req.raw.signal;
    const logger = parts.logger.child({ request_id: c.var.requestId });
    const facts = { tenant_id: order.tenant_id, voice, format, engine: prepared.engine };
    const headers = {
      "content-type": speechContentType[format],
      "x-antiphon-engine": prepared.engine,
      "x-antiphon-voice": voice,
      "x-antiphon-sample-rate": String(prepared.sampleRate),
      "x-antiphon-region": region.id,
    };

    const cached = await cache.find(key, gone);
    if (cached) {
      answers.inc({ cache: "hit", format });
      logger.info({ ...facts, cache: "hit", bytes: cached.bytes, usd: 0 }, "spoke");
      return new Response(Readable.toWeb(cached.body) as ReadableStream, {
        headers: {
          ...headers,
          "content-length": String(cached.bytes),
          "x-antiphon-cache": "hit",
        },
      });
    }

    if (speaking >= maxSpeaking) {
      throw new ApiError("system_busy", "As many texts as can be are being spoken.", {
        headers: { "retry-after": BUSY_RETRY_S },
      });
    }
    speaking += 1;
    const leaving = new AbortController();
    const record = cache.record(key, speechContentType[format]);
    let done = false;
    function finish(): void {
      if (done) return;
      done = true;
      speaking -= 1;
      gone.removeEventListener("abort", finish);
      leaving.abort();
    }
    gone.addEventListener("abort", finish);

    let durationS = 0;
    const audio = prepared.audio(AbortSignal.any([gone, leaving.signal]), (summary) => {
      durationS = summary.duration_s;
      const usd = (summary.engine_ms / 1000) * prices.cpu_second_usd;
      answers.inc({ cache: "miss", format });
      seconds.inc({ voice }, summary.duration_s);
      logger.info({ ...facts, ...summary, cache: "miss", usd }, "spoke");
      void recordUsage({
        v: 1,
        type: "usage",
        id: mintSpeechId(region),
        tenant_id: order.tenant_id,
        usage: [
          { stage: "speech", quantity: summary.engine_ms / 1000, unit: "compute_second", usd },
          { stage: "speech_text", quantity: summary.characters, unit: "character", usd: 0 },
          { stage: "speech_audio", quantity: summary.duration_s, unit: "audio_second", usd: 0 },
        ],
      });
    });

    async function next(): Promise<Uint8Array | undefined> {
      try {
        const { done: ended, value } = await audio.next();
        if (ended !== true) return value;
        finish();
        void record.commit(durationS);
        return undefined;
      } catch (error) {
        finish();
        record.drop();
        throw error;
      }
    }

    // Awaited before the answer begins: what fails now can still be told, and asked of another region.
    const first = await next().catch((error: unknown) => {
      if (error instanceof ApiError || gone.aborted) throw error;
      throw new ApiError("dependency_unavailable", "The voice engine failed.", { cause: error });
    });
    logger.debug({ first_audio_ms: Math.round(performance.now() - began) }, "began to speak");
    let pending = first;
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          try {
            const bytes = pending ?? (await next());
            pending = undefined;
            if (bytes === undefined) {
              controller.close();
              return;
            }
            record.add(bytes);
            controller.enqueue(bytes);
          } catch (error) {
            if (!gone.aborted) logger.error({ err: error, ...facts }, "speech broke off");
            // The connection is cut: a whole answer must not be told from half of one by its sound.
            controller.error(error);
          }
        },
        async cancel() {
          finish();
          record.drop();
          await audio.return(undefined).catch(() => undefined);
        },
      },
      { highWaterMark: 1 },
    );
    return new Response(body, { headers: { ...headers, "x-antiphon-cache": "miss" } });
  });
}
