/** Maps a range of values onto a range of pixels. */
export interface Axis {
  (value: number): number;
  ticks: readonly number[];
}

/** A straight axis with round ticks, `about` of them. */
export function linearAxis(
  [from, to]: readonly [number, number],
  [start, end]: readonly [number, number],
  about: number,
): Axis {
  const step = roundStep((to - from) / about);
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  const ticks = Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * step);
  const place = (value: number) => start + ((value - from) / (to - from)) * (end - start);
  return Object.assign(place, { ticks });
}

/** An axis on which equal intervals of pitch are equally long, with the musically rough ticks 50, 75, 100, 150, 200 … */
export function pitchAxis(
  [from, to]: readonly [number, number],
  [start, end]: readonly [number, number],
): Axis {
  const span = Math.log(to / from);
  const ticks = [50, 75, 100, 150, 200, 300, 400, 600, 800, 1000].filter(
    (hz) => hz >= from && hz <= to,
  );
  const place = (value: number) => start + (Math.log(value / from) / span) * (end - start);
  return Object.assign(place, { ticks });
}

/** How times on an axis of so many seconds are written, and in what unit. */
export function timeLabels(durationS: number): { unit: string; label: (time_s: number) => string } {
  if (durationS < 120)
    return { unit: "seconds", label: (time_s) => `${Number(time_s.toFixed(3))}` };
  const pad = (part: number) => String(part).padStart(2, "0");
  const minutes = (time_s: number) => Math.floor(Math.round(time_s) / 60);
  if (durationS < 7200) {
    const label = (time_s: number) => `${minutes(time_s)}:${pad(Math.round(time_s) % 60)}`;
    return { unit: "minutes and seconds", label };
  }
  const label = (time_s: number) =>
    `${Math.floor(minutes(time_s) / 60)}:${pad(minutes(time_s) % 60)}`;
  return { unit: "hours and minutes", label };
}

/** 1, 2 or 5 times a power of ten, or minutes and hours once steps are longer than these. */
function roundStep(atLeast: number): number {
  const steps = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200];
  if (atLeast > 1) return steps.find((step) => step >= atLeast) ?? 14_400;
  const power = 10 ** Math.floor(Math.log10(atLeast));
  return ([1, 2, 5, 10].find((factor) => factor * power >= atLeast * (1 - 1e-9)) ?? 10) * power;
}
