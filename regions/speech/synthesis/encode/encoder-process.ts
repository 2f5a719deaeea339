/**
 * Entry of the encoder process: FFmpeg's encoders run here, at arm's length from whoever serves requests. One job at a
 * time. Writing is synchronous: when the reader is slow the write blocks, which stops the reading as well.
 */
import { writeSync } from "node:fs";
import { AV_LOG_QUIET } from "node-av/constants";
import { Log } from "node-av/lib";
import {
  KIND_BYTES,
  KIND_DONE,
  KIND_FAILED,
  MAX_PAYLOAD,
  OUTPUT_FD,
  type EncodeRequest,
} from "./protocol.ts";
import { createSpeechEncoder, type SpeechEncoder } from "./speech-encoder.ts";

Log.setLevel(AV_LOG_QUIET);

let encoder: SpeechEncoder | undefined;
let input = Buffer.alloc(0);

function send(kind: number, payload: Uint8Array = new Uint8Array(0)): void {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(kind, 0);
  head.writeUInt32LE(payload.length, 4);
  for (const bytes of [head, payload]) {
    for (let at = 0; at < bytes.length;) at += writeSync(OUTPUT_FD, bytes, at);
  }
}

function write(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += MAX_PAYLOAD) {
    send(KIND_BYTES, bytes.subarray(at, at + MAX_PAYLOAD));
  }
}

function guarded(work: () => void): void {
  try {
    work();
  } catch (error) {
    // The reader is gone: there is nobody to tell.
    if (error instanceof Error && "syscall" in error && error.syscall === "write") process.exit(1);
    encoder?.close();
    encoder = undefined;
    send(KIND_FAILED, Buffer.from(String(error).slice(0, 500)));
  }
}

/** Encodes the frames that are there; before a job has begun they wait. */
function consume(): void {
  while (encoder !== undefined && input.length >= 4) {
    const length = input.readUInt32LE(0);
    if (input.length < 4 + length) return;
    const payload = input.subarray(4, 4 + length);
    input = input.subarray(4 + length);
    if (length > 0) {
      const samples = new Int16Array(length >> 1);
      new Uint8Array(samples.buffer).set(payload.subarray(0, samples.byteLength));
      encoder.push(samples);
      continue;
    }
    encoder.end();
    encoder.close();
    encoder = undefined;
    send(KIND_DONE);
  }
}

process.on("message", (request: EncodeRequest) =>
  guarded(() => {
    encoder = createSpeechEncoder(request.format, request.rate, write);
    consume();
  }),
);
process.stdin.on("data", (chunk: Buffer) =>
  guarded(() => {
    input = Buffer.concat([input, chunk]);
    consume();
  }),
);
process.on("disconnect", () => process.exit(0));
