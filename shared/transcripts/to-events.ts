import type { Transcript } from "../contracts/analysis-result.ts";

/**
 * A transcript as the server-sent events of OpenAI's `stream`: what each segment adds, and at the end the whole. The deltas
 * together are the text.
 */
export function toEvents({ text, segments }: Transcript): string {
  const parts = segments.map((segment, i) => (i === 0 ? segment.text : ` ${segment.text}`));
  const deltas = parts.join("") === text ? parts : [text];
  const events = [
    ...deltas
      .filter((delta) => delta !== "")
      .map((delta) => ({ type: "transcript.text.delta", delta })),
    { type: "transcript.text.done", text },
  ];
  return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
}
