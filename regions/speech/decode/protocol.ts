import { z } from "zod";
import { audioErrorCodes } from "./audio-error.ts";
import { AudioHeader, AudioInfo } from "./audio-info.ts";

/**
 * To the decoder process, over its IPC channel; one job at a time. Not a schema: the process does not load what checks one,
 * which is a tenth of its memory, and who asks is this program itself.
 */
export interface DecoderRequest {
  type: "decode";
  path: string;
  max_duration_s: number;
}

/** From the decoder process, in order with the samples on the same pipe; `done` or `failed` ends a job. */
export const DecoderMessage = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("header"), header: AudioHeader }),
  z.strictObject({ type: z.literal("done"), info: AudioInfo }),
  z.strictObject({
    type: z.literal("failed"),
    code: z.enum([...audioErrorCodes, "file_unreadable", "decoder_crashed"]),
    message: z.string().max(500),
    /** FFmpeg has seen the bytes: from a hostile file, the process may have come out changed. */
    exposed: z.boolean(),
  }),
]);
export type DecoderMessage = z.infer<typeof DecoderMessage>;
