import { positionsOf } from "./create-onnx-runtime.ts";
import type { MoonshineModel } from "./moonshine-model.ts";
import { paddedLength } from "./pad-window.ts";

/** What the encoder may need beside its weights for one batch, bytes. */
const MOST_WORK = 256 * 1024 ** 2;

/**
 * Windows of so many samples that may be in memory together; one at least. Every position is weighed against every other, twice
 * at a time, and the layers have copies of all: half a minute takes 0.1 GB in `moonshine-base`.
 */
export function rowsAtOnce(
  { heads, width }: Pick<MoonshineModel, "heads" | "width">,
  samples: number,
): number {
  const positions = positionsOf(paddedLength(samples));
  const values = 2 * heads * positions ** 2 + 12 * width * positions;
  return Math.max(1, Math.floor(MOST_WORK / (values * Float32Array.BYTES_PER_ELEMENT)));
}
