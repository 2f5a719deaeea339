import type { Readable } from "node:stream";
import type { MakeBlock } from "./create-blocks.ts";
import {
  FRAME_HEADER_BYTES,
  FRAME_MESSAGE,
  FRAME_SAMPLES,
  MAX_FRAME_BYTES,
} from "./frame-format.ts";
import { DecoderMessage } from "./protocol.ts";

export type DecoderFrame =
  | { kind: "samples"; samples: Float32Array<SharedArrayBuffer> }
  | { kind: "message"; message: DecoderMessage };

/**
 * Reads frames from the decoder's pipe, one at a time: what is not asked for stays in the pipe and stops the decoder.
 * The other side decodes hostile media, so nothing that it says is believed unchecked.
 * `next` answers undefined at the end of the pipe, and throws on a malformed frame.
 */
export function createFrameReader(pipe: Readable) {
  let wake: (() => void) | undefined;
  // Listening for good: a listener that is added anew is told at once of what is already there, and would spin.
  for (const event of ["readable", "end", "close", "error"]) pipe.on(event, () => wake?.());

  async function take(bytes: number): Promise<Buffer | undefined> {
    for (;;) {
      const chunk = pipe.read(bytes) as Buffer | null;
      if (chunk !== null) return chunk.length === bytes ? chunk : undefined;
      if (pipe.readableEnded || pipe.destroyed) return undefined;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  return {
    async next(makeBlock: MakeBlock): Promise<DecoderFrame | undefined> {
      const head = await take(FRAME_HEADER_BYTES);
      if (head === undefined) return undefined;
      const kind = head.readUInt32LE(0);
      const length = head.readUInt32LE(4);
      if (length === 0 || length > MAX_FRAME_BYTES)
        throw new RangeError("A frame of impossible length.");
      const payload = await take(length);
      if (payload === undefined) return undefined;
      if (kind === FRAME_MESSAGE) {
        return { kind: "message", message: DecoderMessage.parse(JSON.parse(payload.toString())) };
      }
      if (kind !== FRAME_SAMPLES || length % 4 !== 0)
        throw new RangeError("A frame of no known kind.");
      // Shared, so that other threads can read it without another copy.
      const samples = makeBlock(length / 4);
      new Uint8Array(samples.buffer).set(payload);
      return { kind: "samples", samples };
    },
  };
}
