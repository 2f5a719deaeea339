import fc from "fast-check";
import { expect, test } from "vitest";
import { readTranscriptionForm } from "../../edge/calls/read-transcription-form.ts";
import { ApiError } from "../../shared/errors/problem.ts";

const encoder = new TextEncoder();
const read = async (body: BodyInit, type: string) => {
  const request = new Request("https://edge.test/v1/audio/transcriptions", {
    method: "POST",
    headers: { "content-type": type },
    body,
  });
  try {
    return await readTranscriptionForm(request);
  } catch (error) {
    if (error instanceof ApiError && error.status < 500) return error.code;
    throw error;
  }
};

/** File names as people and attackers have them. */
const fileName = fc.oneof(
  fc.constantFrom(
    "../../etc/passwd",
    "..\\..\\boot.ini",
    "C:\\voice.wav",
    "/v/o/i.wav",
    "voice.wav%00.txt",
    "%2e%2e%2f",
    "голос.wav",
    "声.mp3",
    "🎤.ogg",
    "a\u0301.wav",
    "\u202evaw.exe",
    ".",
    "x".repeat(5_000),
    '"; name="model',
    "a;b=c",
  ),
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }),
);

test("a file of any name and content is read as it was sent, and its name decides nothing", async () => {
  await fc.assert(
    fc.asyncProperty(
      fileName,
      fc.uint8Array({ minLength: 1, maxLength: 400 }),
      async (name, bytes) => {
        const form = new FormData();
        form.append("model", "whisper-1");
        form.append("file", new File([bytes as Uint8Array<ArrayBuffer>], name));
        const encoded = new Response(form);
        const type = encoded.headers.get("content-type")!;
        const found = await read(await encoded.arrayBuffer(), type);
        if (typeof found === "string") throw new Error(`refused: ${found}`);
        expect(new Uint8Array(await found.file.arrayBuffer())).toEqual(bytes);
        expect(found.form).toMatchObject({ model: "whisper-1", response_format: "json" });
      },
    ),
    { numRuns: 80 },
  );
});

const BOUNDARY = "edge-of-the-form";
const part = (head: string, body: string) => `--${BOUNDARY}\r\n${head}\r\n\r\n${body}\r\n`;
const whole = (parts: string) => `${parts}--${BOUNDARY}--\r\n`;
const valid = whole(
  part('Content-Disposition: form-data; name="model"', "whisper-1") +
    part(
      'Content-Disposition: form-data; name="file"; filename="v.wav"\r\nContent-Type: audio/wav',
      "RIFF-and-so-on",
    ),
);

test("a form that was cut, or in which anything was changed, is read or refused in words, and never a fault of ours", async () => {
  const type = `multipart/form-data; boundary=${BOUNDARY}`;
  expect(await read(valid, type)).toMatchObject({ form: { model: "whisper-1" } });
  const bytes = encoder.encode(valid);
  await fc.assert(
    fc.asyncProperty(
      fc.nat(bytes.length),
      fc.nat(40),
      fc.oneof(
        fc.uint8Array({ maxLength: 12 }),
        fc
          .constantFrom(
            "\r\n",
            "\n",
            "--",
            `--${BOUNDARY}`,
            `--${BOUNDARY}--`,
            '"',
            "\0",
            "filename*=UTF-8''%00",
            "Content-Transfer-Encoding: base64",
            ": ",
            ";",
          )
          .map((text) => encoder.encode(text)),
      ),
      async (at, cut, put) => {
        const changed = new Uint8Array([...bytes.slice(0, at), ...put, ...bytes.slice(at + cut)]);
        const found = await read(changed, type);
        if (typeof found === "string")
          expect(found).toMatch(/^(invalid_request|audio_empty|language_unsupported)$/);
        else expect(found.file.size).toBeGreaterThan(0);
      },
    ),
    { numRuns: 300 },
  );
  for (let end = 0; end < bytes.length; end += 7) {
    expect([end, typeof (await read(bytes.slice(0, end), type))]).toEqual([end, "string"]);
  }
});

test("a content type of any form is refused in words", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.constantFrom(
          "multipart/form-data",
          "multipart/form-data;",
          "multipart/form-data; boundary=",
          'multipart/form-data; boundary="',
          "multipart/mixed; boundary=x",
          `multipart/form-data; boundary=${"x".repeat(300)}`,
        ),
        fc
          .string({ maxLength: 40 })
          .map((text) => `multipart/form-data; ${text.replaceAll(/[^\x20-\x7e]/g, "_")}`),
      ),
      async (type) => {
        expect(["invalid_request", "unsupported_media_type"]).toContain(await read(valid, type));
      },
    ),
    { numRuns: 80 },
  );
});
