import { DurableObject } from "cloudflare:workers";
import { Readiness } from "../../shared/contracts/api.ts";
import { RegionLoad } from "../../shared/contracts/load-report.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import type { VantageView } from "../../shared/policies/region-verdict.ts";
import { readText } from "../admit/read-body.ts";
import { readEdgeConfig, type EdgeBindings, type EdgeConfig } from "../env.ts";
import { createCallRegion } from "../forward/call-region.ts";
import { describeError, log } from "../ops/log.ts";
import { createProbeBook } from "./probe-book.ts";

const EVERY_MS = 2_000;
/** A region that failed for the first time is asked again soon: it is ejected by the second failure. */
const AGAIN_MS = 300;
const TIMEOUT_MS = 1_000;
/** The load is asked for in every second round. */
const LOAD_EVERY = 2;
const LOAD_TIMEOUT_MS = 1_500;
const MAX_BYTES = 64 * 1024;
/** Nobody looked for so long: the probes rest until somebody does. */
const REST_AFTER_MS = 60_000;
/** Rounds of one alarm. Each alarm is a write; a round is none. */
const ROUNDS = 20;
/** By then the next alarm rings should this one die with its object. */
const WATCHDOG_MS = 60_000;

/**
 * A vantage point: probes every region for as long as somebody looks at what it sees. Named after the jurisdiction it sits in. What it
 * knows is in memory alone; an object that starts anew has seen nothing fail yet.
 */
export class RegionProbes extends DurableObject<EdgeBindings> {
  /** Held by tests; otherwise the wall clock, the environment and the constants above. */
  now: () => number = () => Date.now();
  config: () => EdgeConfig = () => readEdgeConfig(this.env);
  rounds = ROUNDS;
  readonly #book = createProbeBook(() => this.now());
  #lookedAt = 0;
  #running = false;
  #vantage = "";
  #phase = 0;
  #round = 0;

  /**
   * What is seen from here; keeps the probes going. Empty at first, and where the deployment is not complete.
   * @param phase which part of the time between two probes this vantage begins them after, in [0, 1): so that they take turns
   */
  async view(vantage: string, phase = 0): Promise<VantageView> {
    this.#vantage = vantage;
    this.#phase = phase;
    this.#lookedAt = this.now();
    if (!this.#running && this.#isConfigured()) await this.ctx.storage.setAlarm(Date.now());
    return this.#book.view(vantage);
  }

  override async alarm(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      await this.ctx.storage.setAlarm(Date.now() + WATCHDOG_MS);
      const config = this.config();
      for (let round = 0; round < this.rounds; round++) {
        if (round > 0) await scheduler.wait(this.#pauseMs());
        await this.#probeAll(config);
      }
    } catch (error) {
      log("error", "the probes failed", { error: describeError(error) });
    } finally {
      this.#running = false;
    }
    const rests = this.now() - this.#lookedAt > REST_AFTER_MS;
    if (rests) await this.ctx.storage.deleteAlarm();
    else await this.ctx.storage.setAlarm(Date.now() + this.#pauseMs());
  }

  /** Until this vantage's next turn by the wall clock, which is much the same everywhere. */
  #pauseMs(): number {
    if (this.#book.isInDoubt()) return AGAIN_MS;
    const sinceTurn = (Date.now() - this.#phase * EVERY_MS) % EVERY_MS;
    return EVERY_MS - sinceTurn;
  }

  #isConfigured(): boolean {
    try {
      return this.config().regions.length > 0;
    } catch {
      return false;
    }
  }

  async #probeAll(config: EdgeConfig): Promise<void> {
    const withLoad = this.#round++ % LOAD_EVERY === 0;
    await Promise.all(
      config.regions.map(async (region) => {
        const asksLoad = withLoad && region.jurisdiction === this.#vantage;
        if ((await this.#probe(config, region)) && asksLoad) await this.#readLoad(config, region);
      }),
    );
    this.#book.roundEnded();
  }

  async #probe(config: EdgeConfig, { id }: Region): Promise<boolean> {
    const began = Date.now();
    try {
      const response = await fetch(`${config.endpoints[id]!.api.replace(/\/+$/, "")}/readyz`, {
        redirect: "manual",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const text = await readText(response, MAX_BYTES);
      const ready = response.ok && Readiness.parse(JSON.parse(text)).status === "ready";
      if (ready) this.#book.answered(id, Date.now() - began);
      else this.#book.failed(id);
      return ready;
    } catch {
      this.#book.failed(id);
      return false;
    }
  }

  async #readLoad(config: EdgeConfig, region: Region): Promise<void> {
    const outcome = await createCallRegion({ config })(region, {
      method: "GET",
      target: "/internal/load",
      answer: RegionLoad,
      timeoutMs: LOAD_TIMEOUT_MS,
    });
    if (outcome.kind === "done") this.#book.loaded(region.id, outcome.value.expected_wait_s);
  }
}
