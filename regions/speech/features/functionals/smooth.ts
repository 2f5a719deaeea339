/** Moving average over three frames; at both ends the outermost value stands in for the missing neighbour. */
export function smooth(values: Float32Array): Float32Array {
  const out = new Float32Array(values.length);
  const last = values.length - 1;
  for (let i = 0; i <= last; i += 1) {
    const before = values[Math.max(0, i - 1)]!;
    const after = values[Math.min(last, i + 1)]!;
    out[i] = (before + values[i]! + after) / 3;
  }
  return out;
}

/**
 * As `smooth`, where 0 means that a frame has no value: it stays 0 and counts in no average. The last frame is left out,
 * since it has no neighbour to wait for; so it is in the reference figures.
 *
 * @param room where to put the result, which is new memory without it
 */
export function smoothPresent(values: Float32Array, room?: Float32Array): Float32Array {
  const length = Math.max(0, values.length - 1);
  const out = room?.subarray(0, length).fill(0) ?? new Float32Array(length);
  for (let i = 0; i < out.length; i += 1) {
    const value = values[i]!;
    if (value === 0) continue;
    const before = values[Math.max(0, i - 1)]!;
    const after = values[i + 1]!;
    const count = 1 + (before === 0 ? 0 : 1) + (after === 0 ? 0 : 1);
    out[i] = (before + value + after) / count;
  }
  return out;
}

/**
 * The values other than 0, in order.
 *
 * @param room where to put them, which may be the values' own; new memory without it
 */
export function present(
  values: Float32Array,
  room = new Float32Array(values.length),
): Float32Array {
  let count = 0;
  for (const value of values) {
    if (value === 0) continue;
    room[count] = value;
    count += 1;
  }
  return room.subarray(0, count);
}
