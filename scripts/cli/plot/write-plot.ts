import { writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { createDecoder } from "../../../regions/speech/decode/decoder.ts";
import type { AnalysisResult } from "../../../shared/contracts/analysis-result.ts";
import { describeFeatures, describeSpeakingRate } from "../render-voice.ts";
import { measureWaveform } from "./measure-waveform.ts";
import { renderPlot } from "./render-plot.ts";

/** Draws an analysed recording into an SVG file; the waveform is read from the recording here. */
export async function writePlot(
  recording: string,
  result: AnalysisResult,
  target: string,
  signal: AbortSignal,
): Promise<void> {
  const decoder = createDecoder({ maxProcesses: 1 });
  try {
    const waveform = await measureWaveform(decoder, recording, { signal });
    const { audio, features, speaking_rate: rate, voice_activity: voice } = result;
    const measured = features !== undefined && !("status" in features) ? features : undefined;
    const pitch = measured && describeFeatures(measured).find(([name]) => name === "pitch")?.[1];
    const speed =
      rate !== undefined && !("status" in rate) ? describeSpeakingRate(rate)[0]?.[1] : undefined;
    const subtitle = [
      describeDuration(audio.duration_s),
      pitch === "no voice" ? pitch : pitch && `pitch ${pitch}`,
      speed?.split(",")[0],
    ];
    const svg = renderPlot({
      title: basename(recording),
      subtitle: subtitle.filter(Boolean).join(" · "),
      durationS: audio.duration_s,
      waveform,
      tracks: measured?.tracks,
      segments: voice !== undefined && !("status" in voice) ? voice.segments : undefined,
    });
    await writeFile(target, svg, { signal });
  } finally {
    await decoder.close();
  }
}

function describeDuration(duration_s: number): string {
  if (duration_s < 120) return `${duration_s.toFixed(2)} s`;
  const minutes = Math.floor(Math.round(duration_s) / 60);
  return `${minutes} min ${Math.round(duration_s) % 60} s`;
}
