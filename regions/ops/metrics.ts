type Labels = Record<string, string>;

export interface Counter {
  /** Adds `by` (default 1, never negative) to the series of these labels. */
  inc(labels?: Labels, by?: number): void;
}
export interface Gauge {
  set(value: number, labels?: Labels): void;
}
export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

/** A registry of metrics, written out in the Prometheus text format 0.0.4. */
export interface Metrics {
  counter(name: string, help: string): Counter;
  gauge(name: string, help: string): Gauge;
  /** `buckets`: upper bounds in ascending order; durations are in seconds, as Prometheus has it. */
  histogram(name: string, help: string, buckets?: readonly number[]): Histogram;
  /** Runs before each scrape, to set gauges whose value is elsewhere. A failure leaves the old value. */
  onScrape(collect: () => Promise<void> | void): void;
  render(): Promise<string>;
}

const DEFAULT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Series per metric at most: a label that takes its values from outside must not fill the memory. */
const MAX_SERIES = 1000;

interface Metric {
  help: string;
  type: "counter" | "gauge" | "histogram";
  lines(name: string): string[];
}

/** An empty registry. Asking twice for one name throws: two owners of a metric are a mistake. */
export function createMetrics(): Metrics {
  const metrics = new Map<string, Metric>();
  const collectors: (() => Promise<void> | void)[] = [];

  function register(name: string, metric: Metric): void {
    if (!/^[a-z_][a-z0-9_]*$/.test(name)) throw new Error(`${name} is no name for a metric`);
    if (metrics.has(name)) throw new Error(`the metric ${name} exists already`);
    metrics.set(name, metric);
  }

  function simple(name: string, help: string, type: "counter" | "gauge") {
    const series = new Map<string, number>();
    register(name, {
      help,
      type,
      lines: (as) => [...series].map(([key, value]) => `${as}${key} ${value}`),
    });
    return {
      write(labels: Labels, next: (old: number) => number) {
        const key = labelText(labels);
        if (!series.has(key) && series.size >= MAX_SERIES) return;
        series.set(key, next(series.get(key) ?? 0));
      },
    };
  }

  return {
    counter(name, help) {
      const series = simple(name, help, "counter");
      return { inc: (labels = {}, by = 1) => series.write(labels, (old) => old + Math.max(0, by)) };
    },
    gauge(name, help) {
      const series = simple(name, help, "gauge");
      return { set: (value, labels = {}) => series.write(labels, () => value) };
    },
    histogram(name, help, buckets = DEFAULT_BUCKETS) {
      const series = new Map<
        string,
        { labels: Labels; counts: number[]; sum: number; count: number }
      >();
      register(name, {
        help,
        type: "histogram",
        lines: (as) =>
          [...series.values()].flatMap(({ labels, counts, sum, count }) => [
            ...buckets.map(
              (le, i) => `${as}_bucket${labelText({ ...labels, le: String(le) })} ${counts[i]}`,
            ),
            `${as}_bucket${labelText({ ...labels, le: "+Inf" })} ${count}`,
            `${as}_sum${labelText(labels)} ${sum}`,
            `${as}_count${labelText(labels)} ${count}`,
          ]),
      });
      return {
        observe(value, labels = {}) {
          const key = labelText(labels);
          let entry = series.get(key);
          if (!entry) {
            if (series.size >= MAX_SERIES) return;
            entry = { labels, counts: buckets.map(() => 0), sum: 0, count: 0 };
            series.set(key, entry);
          }
          buckets.forEach((le, i) => {
            if (value <= le) entry.counts[i]! += 1;
          });
          entry.sum += value;
          entry.count += 1;
        },
      };
    },
    onScrape(collect) {
      collectors.push(collect);
    },
    async render() {
      await Promise.allSettled(collectors.map(async (collect) => collect()));
      const text: string[] = [];
      for (const [name, metric] of metrics) {
        text.push(`# HELP ${name} ${metric.help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`);
        text.push(`# TYPE ${name} ${metric.type}`, ...metric.lines(name));
      }
      return `${text.join("\n")}\n`;
    },
  };
}

function labelText(labels: Labels): string {
  let pairs = "";
  for (const name in labels) pairs += `${pairs && ","}${name}="${escape(labels[name]!)}"`;
  return pairs && `{${pairs}}`;
}

function escape(value: string): string {
  if (!/[\\"\n]/.test(value)) return value;
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
