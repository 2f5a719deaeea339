import { z } from "zod";
import { TenantId } from "./ids.ts";
import { Residency } from "./regions.ts";

/** Characters of a text at most, as OpenAI has it. */
export const MAX_SPEECH_CHARACTERS = 4096;

export const Voice = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    language: z.string().meta({ description: "BCP 47" }),
    sex: z.enum(["female", "male", "unknown"]),
    engine: z.string(),
    sample_rate_hz: z.int(),
    aliases: z.array(z.string()).meta({ description: "Other names that are taken for this voice" }),
  })
  .meta({ id: "Voice" });
export type Voice = z.infer<typeof Voice>;

export const VoiceList = z.strictObject({ data: z.array(Voice) }).meta({ id: "VoiceList" });

const flite = { engine: "flite", sample_rate_hz: 16_000 };

/**
 * The voices that every region has. OpenAI's names are aliases, so that its clients work as they are; they sound otherwise.
 * What else speaks is for each region to say: `GET region /internal/voices`.
 */
export const fliteVoices: readonly Voice[] = [
  {
    ...flite,
    id: "slt",
    name: "SLT, American English",
    language: "en-US",
    sex: "female",
    aliases: ["alloy", "coral", "nova", "sage", "shimmer", "marin"],
  },
  {
    ...flite,
    id: "rms",
    name: "RMS, American English",
    language: "en-US",
    sex: "male",
    aliases: ["ash", "ballad", "echo", "onyx", "verse", "cedar"],
  },
  {
    ...flite,
    id: "awb",
    name: "AWB, Scottish English",
    language: "en-GB",
    sex: "male",
    aliases: ["fable"],
  },
  {
    ...flite,
    id: "kal",
    name: "KAL, American English, robotic and fast to make",
    language: "en-US",
    sex: "male",
    aliases: [],
  },
];

const byName = new Map(
  fliteVoices.flatMap(({ id, aliases }) => [id, ...aliases].map((name) => [name, id])),
);

/** The id that a name stands for: itself, where it is no alias. */
export const voiceId = (name: string): string => byName.get(name) ?? name;

/** What any id of a voice looks like. Which ones there are is known by the regions, which may have models installed. */
export const VoiceName = z
  .string()
  .regex(/^[A-Za-z0-9][\w.:-]{0,129}$/, "is no name of a voice; see GET /v1/voices");

export const SpeechFormat = z.enum(["mp3", "opus", "flac", "wav", "pcm"]);
export type SpeechFormat = z.infer<typeof SpeechFormat>;

/** What each format is sent as. */
export const speechContentType: Record<SpeechFormat, string> = {
  mp3: "audio/mpeg",
  opus: "audio/ogg",
  flac: "audio/flac",
  wav: "audio/wav",
  pcm: "audio/pcm",
};

/** Names of models that are taken; each is served by the voice's own engine. */
const SpeechModel = z.enum(["flite", "kokoro", "piper", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"], {
  error:
    "is not a model here; there are flite, kokoro, piper and OpenAI's names tts-1, tts-1-hd, gpt-4o-mini-tts",
});

/** A text to be spoken. */
export const speechInput = z
  .string()
  .min(1, "must not be empty")
  .superRefine((text, context) => {
    // Characters, not UTF-16 units: an emoji is one.
    const length = text.length > MAX_SPEECH_CHARACTERS ? Array.from(text).length : text.length;
    if (length > MAX_SPEECH_CHARACTERS) {
      const message = `must have at most ${MAX_SPEECH_CHARACTERS} characters, and has ${length}`;
      context.addIssue({ code: "custom", message });
    }
  });
export const speechSpeed = z
  .number()
  .min(0.25, "must be 0.25 at least")
  .max(4, "must be 4 at most")
  .default(1);

/** A format as a client asks for it. */
export const WantedFormat = z.enum(SpeechFormat.options, {
  error: ({ input: given }) =>
    given === "aac"
      ? "aac is not made here; take mp3 or opus, or flac, wav, pcm"
      : `is not a format; there are ${SpeechFormat.options.join(", ")}`,
});

/** `POST /v1/audio/speech`: OpenAI's request. */
export const CreateSpeech = z
  .strictObject({
    model: SpeechModel.default("flite").meta({
      description: "Any of these names; the voice decides which engine speaks.",
    }),
    input: speechInput.meta({ description: "English text", maxLength: MAX_SPEECH_CHARACTERS }),
    voice: VoiceName.default("slt").meta({
      description: "An id of `GET /v1/voices`, or one of its aliases",
    }),
    response_format: WantedFormat.default("mp3").meta({
      description:
        "pcm is 16-bit little-endian mono at 24 kHz; opus comes in Ogg; the others have the voice's own rate.",
    }),
    speed: speechSpeed.meta({ description: "0.25 to 4" }),
    instructions: z
      .string()
      .max(MAX_SPEECH_CHARACTERS)
      .optional()
      .meta({ description: "Taken for compatibility; no voice here can follow any." }),
    stream_format: z.literal("audio", { error: "only audio is streamed here" }).optional(),
  })
  .meta({ id: "CreateSpeech" });
export type CreateSpeech = z.infer<typeof CreateSpeech>;

/** `POST region /internal/speech` → the audio, streamed as it is made. */
export const SpeakOrder = z.strictObject({
  tenant_id: TenantId,
  residency: Residency,
  input: speechInput,
  voice: VoiceName,
  response_format: SpeechFormat,
  speed: speechSpeed,
});
export type SpeakOrder = z.infer<typeof SpeakOrder>;

/** Response headers that a region sets, and the edge passes on. */
export const SPEECH_HEADERS = [
  "content-type",
  "content-length",
  "x-antiphon-cache",
  "x-antiphon-engine",
  "x-antiphon-voice",
  "x-antiphon-sample-rate",
  "x-antiphon-region",
] as const;
