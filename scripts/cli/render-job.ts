import type { Job } from "../../shared/contracts/api.ts";
import type { AnalysisResult, UnavailablePart } from "../../shared/contracts/analysis-result.ts";
import {
  describeAge,
  describeEmotion,
  describeFeatures,
  describeSex,
  describeSpeakingRate,
  describeTranscript,
} from "./render-voice.ts";
import type { Line } from "./render-voice.ts";

const db = (value: number | null) => (value === null ? "silence" : `${value.toFixed(1)} dBFS`);
const row = (name: string, value: string) => `  ${name.padEnd(16)}${value}`;

/** A finished job as text for people. */
export function renderJob(job: Job): string {
  const lines = [
    `${job.id}  ${job.status}  ${job.region}  dispatch ${job.dispatch}, attempt ${job.attempt}`,
  ];
  if (job.error) lines.push("", row("error", job.error.code), row("", job.error.detail));
  if (job.result) lines.push("", ...renderResult(job.result));
  if (job.audio_url) lines.push("", "Listen (signed, an hour):", `  ${job.audio_url}`);
  return lines.join("\n");
}

function renderResult(result: AnalysisResult): string[] {
  const { audio } = result;
  const { level } = audio;
  const lines = [
    row("duration", `${audio.duration_s.toFixed(2)} s`),
    row(
      "audio",
      `${audio.codec} in ${audio.container}, ${audio.sample_rate_hz} Hz, ${channels(audio.channels)}`,
    ),
    row("level", `rms ${db(level.rms_dbfs)}, peak ${db(level.peak_dbfs)}`),
    row(
      "clipping",
      level.clipping.clipped_samples === 0
        ? "none"
        : `${level.clipping.clipped_samples} samples (${(level.clipping.clipped_ratio * 100).toFixed(2)} %)`,
    ),
  ];
  const activity = result.voice_activity;
  if (activity && !("status" in activity)) {
    const segments = activity.segments.map((s) => `${s.start_s.toFixed(2)}–${s.end_s.toFixed(2)}`);
    lines.push(row("speech", `${(activity.speech_ratio * 100).toFixed(0)} % of the time`));
    lines.push(
      row(
        "segments",
        segments.length === 0
          ? "none"
          : `${segments.slice(0, 8).join("  ")}${segments.length > 8 ? "  …" : ""} s`,
      ),
    );
  } else if (activity) lines.push(unavailable("voice_activity", activity));
  lines.push(...voiceLines("features", result.features, describeFeatures));
  lines.push(...voiceLines("speaking_rate", result.speaking_rate, describeSpeakingRate));
  lines.push(...voiceLines("emotion", result.emotion, describeEmotion));
  lines.push(...voiceLines("transcript", result.transcript, describeTranscript));
  lines.push(...voiceLines("age", result.age, describeAge));
  lines.push(...voiceLines("sex", result.sex, describeSex));
  const total = result.timings_ms.total;
  lines.push(
    row(
      "made by",
      Object.values(result.engines)
        .map((e) => `${e.name} ${e.version}`)
        .join(", "),
    ),
  );
  if (total !== undefined) lines.push(row("took", `${Math.round(total)} ms in ${result.region}`));
  lines.push(row("cost", `$${result.cost.usd.toFixed(6)}`));
  return lines;
}

const channels = (count: number) =>
  count === 1 ? "mono" : count === 2 ? "stereo" : `${count} channels`;

function voiceLines<T extends object>(
  name: string,
  part: T | UnavailablePart | undefined,
  describe: (part: T) => Line[],
): string[] {
  if (part === undefined) return [];
  if ("status" in part) return [unavailable(name, part)];
  return describe(part).map(([title, text]) => row(title, text));
}

function unavailable(name: string, part: UnavailablePart): string {
  return row(
    name,
    `unavailable: ${part.reason}${part.install ? ` (install: ${part.install})` : ""}`,
  );
}
