export interface Metrics {
  /** Adds one to a counter. Label values must come from small fixed sets. */
  count(name: string, labels: Record<string, string>): void;
  /** Prometheus text exposition format 0.0.4. */
  render(): string;
}

const HELP: Record<string, string> = {
  antiphon_edge_requests_total: "Requests answered by this isolate, by route and status.",
  antiphon_edge_limited_total: "Requests refused by this isolate for their tenant's limits.",
  antiphon_edge_retries_total:
    "What was tried again in another region, by what it was; `refused`: the retry budget was used up.",
  antiphon_edge_hedges_total:
    "Reads that a second region was asked for too, because the first took long; `won`: it answered first.",
  antiphon_edge_redispatches_total:
    "Jobs given to another region under a new dispatch while they were being accepted.",
  antiphon_edge_ledger_redispatches_total:
    "Jobs that the ledger gave to another region under a new dispatch, by the region that had them.",
  antiphon_edge_region_calls_total: "Calls from this isolate to regions, by outcome.",
};

/** Counters of one isolate; each isolate reports its own, and the scraper adds them up. */
export function createMetrics(capacity = 1_000): Metrics {
  const counters = new Map<string, Map<string, number>>();
  let series = 0;

  function count(name: string, labels: Record<string, string>): void {
    const text = Object.entries(labels)
      .map(([label, value]) => `${label}="${value.replace(/["\\\n]/g, "_")}"`)
      .join(",");
    const values = counters.get(name) ?? new Map<string, number>();
    counters.set(name, values);
    const before = values.get(text);
    if (before === undefined && ++series > capacity) return;
    values.set(text, (before ?? 0) + 1);
  }

  function render(): string {
    const lines: string[] = [];
    for (const [name, values] of counters) {
      lines.push(`# HELP ${name} ${HELP[name] ?? name}`, `# TYPE ${name} counter`);
      for (const [labels, value] of values) lines.push(`${name}{${labels}} ${value}`);
    }
    return lines.map((line) => `${line}\n`).join("");
  }

  return { count, render };
}

/** Of the Durable Objects that live in this isolate: they are built by the runtime, and so share no services. */
export const objectMetrics: Metrics = createMetrics();
