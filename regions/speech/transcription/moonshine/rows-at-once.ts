import { positionsOf } from "./create-onnx-runtime.ts";
import type { MoonshineModel } from "./moonshine-model.ts";
import { paddedLength } from "./pad-window.ts";

/** What the encoder may need beside its weights for one batch, bytes. */
const MOST_WORK = 256 * 1024 ** 2;

/**
 * Windows of so many samples that may be in memory together; one at least. Every position is weighed against every other, and
 * the layers have copies of all. The factors make what was measured of a model of the size of `moonshine-base`: 35 MB for 10 s,
 * 250 MB for half a minute.
 */
export function rowsAtOnce(
  { heads, width }: Pick<MoonshineModel, "heads" | "width">,
  samples: number,
): number {
  const positions = positionsOf(paddedLength(samples));
  const values = 4 * heads * positions ** 2 + 24 * width * positions;
  return Math.max(1, Math.floor(MOST_WORK / (values * Float32Array.BYTES_PER_ELEMENT)));
}
