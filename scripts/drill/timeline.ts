/** A moment of a round, in milliseconds since the fault (negative before it). */
export interface Moment {
  atMs: number;
  what: string;
  /** For the report: a milestone is drawn, the rest is listed. */
  milestone: boolean;
}

export interface Timeline {
  readonly moments: readonly Moment[];
  /** Notes something, and says it at once. */
  note(what: string): void;
  /** Notes the first time that something happens; later calls of the same name are nothing. */
  first(name: string, what?: string): void;
  /** Notes when something happened that is known only now; `atMs` by the clock. */
  was(atMs: number, what: string): void;
  /** When a milestone came, milliseconds since the fault. */
  at(name: string): number | undefined;
  /** The fault begins now. */
  begin(): void;
}

/** What happened in a round, and when; told live and kept for the report. `now` in milliseconds. */
export function createTimeline(now: () => number, say: (line: string) => void): Timeline {
  const moments: Moment[] = [];
  const firsts = new Map<string, number>();
  const start = now();
  let faultMs: number | undefined;

  function add(what: string, milestone: boolean): number {
    const atMs = Math.round(now() - (faultMs ?? start));
    moments.push({ atMs, what, milestone });
    const sign = faultMs === undefined ? " " : "+";
    say(`  ${sign}${(atMs / 1000).toFixed(1).padStart(6)} s  ${what}`);
    return atMs;
  }

  return {
    moments,
    note: (what) => void add(what, false),
    first(name, what = name) {
      if (faultMs === undefined || firsts.has(name)) return;
      firsts.set(name, add(what, true));
    },
    was(atMs, what) {
      const moment = { atMs: Math.round(atMs - (faultMs ?? start)), what, milestone: true };
      const after = moments.findIndex((each) => each.atMs > moment.atMs);
      moments.splice(after === -1 ? moments.length : after, 0, moment);
    },
    at: (name) => firsts.get(name),
    begin() {
      faultMs = now();
      // What went before is told by how long before the fault it was.
      for (const moment of moments) moment.atMs -= Math.round(faultMs - start);
    },
  };
}
