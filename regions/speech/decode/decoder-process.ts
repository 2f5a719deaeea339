/**
 * Entry of the decoder process: FFmpeg runs here and nowhere else, so a crash, a hang or an exploit of it ends with
 * this process. It has an empty environment and no work but one file at a time. Writing is synchronous: when the
 * reader is slow the write to the pipe blocks, which is all the back-pressure there is to it.
 */
import { writeSync } from "node:fs";
import { AV_LOG_QUIET } from "node-av/constants";
import { Log } from "node-av/lib";
import { AudioError } from "./audio-error.ts";
import { decodeFile } from "./decode-file.ts";
import { DecoderError } from "./decoder-error.ts";
import { FRAME_FD, FRAME_HEADER_BYTES, FRAME_MESSAGE, FRAME_SAMPLES } from "./frame-format.ts";
import type { DecoderMessage, DecoderRequest } from "./protocol.ts";
import { BLOCK_SAMPLES } from "./sample-format.ts";

Log.setLevel(AV_LOG_QUIET);

const frame = Buffer.alloc(FRAME_HEADER_BYTES + BLOCK_SAMPLES * 4);
const block = new Float32Array(frame.buffer, frame.byteOffset + FRAME_HEADER_BYTES, BLOCK_SAMPLES);
let filled = 0;
let waited_ms = 0;

function writeAll(bytes: Uint8Array): void {
  const start = performance.now();
  for (let at = 0; at < bytes.length;) at += writeSync(FRAME_FD, bytes, at);
  waited_ms += performance.now() - start;
}

function sendBlock(): void {
  if (filled === 0) return;
  frame.writeUInt32LE(FRAME_SAMPLES, 0);
  frame.writeUInt32LE(filled * 4, 4);
  writeAll(frame.subarray(0, FRAME_HEADER_BYTES + filled * 4));
  filled = 0;
}

function send(message: DecoderMessage): void {
  const payload = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(FRAME_HEADER_BYTES);
  head.writeUInt32LE(FRAME_MESSAGE, 0);
  head.writeUInt32LE(payload.length, 4);
  writeAll(Buffer.concat([head, payload]));
}

function collect(samples: Float32Array): void {
  for (let at = 0; at < samples.length;) {
    const taken = Math.min(samples.length - at, BLOCK_SAMPLES - filled);
    block.set(samples.subarray(at, at + taken), filled);
    filled += taken;
    at += taken;
    if (filled === BLOCK_SAMPLES) sendBlock();
  }
}

async function decode({ path, max_duration_s }: DecoderRequest): Promise<DecoderMessage> {
  filled = 0;
  waited_ms = 0;
  let exposed = false;
  const start = performance.now();
  try {
    const info = await decodeFile(path, max_duration_s, {
      exposed: () => {
        exposed = true;
      },
      header: (header) => send({ type: "header", header }),
      samples: collect,
    });
    sendBlock();
    return {
      type: "done",
      info: { ...info, decode_ms: Math.max(0, performance.now() - start - waited_ms) },
    };
  } catch (error) {
    // The reader is gone: there is nobody to tell.
    if (error instanceof Error && "syscall" in error && error.syscall === "write") process.exit(1);
    const known =
      error instanceof AudioError ||
      (error instanceof DecoderError && error.code === "file_unreadable");
    return {
      type: "failed",
      code: known ? (error.code as AudioError["code"]) : "decoder_crashed",
      message: String(error instanceof Error ? error.message : error).slice(0, 500),
      exposed,
    };
  }
}

process.on("message", (request: DecoderRequest) => void decode(request).then(send));
process.on("disconnect", () => process.exit(0));
