import { DurableObject } from "cloudflare:workers";
import {
  isEjected,
  isLost,
  trustedViews,
  type VantageView,
} from "../../shared/policies/region-verdict.ts";
import { readEdgeConfig, type EdgeBindings, type EdgeConfig } from "../env.ts";
import { describeError, log } from "../ops/log.ts";
import type { RegionProbes } from "../route/region-probes.ts";
import { createVantages } from "../route/vantages.ts";
import { createAlarmClock, type AlarmClock } from "./alarm-clock.ts";
import type { Ledger } from "./ledger.ts";
import { createCallObject, jurisdictionOf } from "./placement.ts";

/** How often the region is looked at while it has open jobs; and while there are shards left to tell. */
const LOOK_EVERY_MS = 4_000;
const BATCH_EVERY_MS = 1_000;
/** Shards that are told at once. Each goes through its own jobs in batches of its own. */
const BATCH = 20;

type RegionNews = "lost" | "back";

/**
 * The shards of the ledger that have open jobs in one region: one object for each region. It looks at what the probes see, and tells
 * its shards, a bounded batch at a time, when the region is declared lost and when it is back.
 */
export class OpenShards extends DurableObject<EdgeBindings> {
  /** Held by tests; otherwise the wall clock, the environment and the probes. */
  now: () => number = () => Date.now();
  config: () => EdgeConfig = () => readEdgeConfig(this.env);
  look: () => Promise<VantageView[]> = () =>
    createVantages(
      this.env.REGION_PROBES as DurableObjectNamespace<RegionProbes>,
      this.config().regions,
    ).look();
  readonly #sql: SqlStorage;
  readonly #clock: AlarmClock;

  constructor(ctx: DurableObjectState, env: EdgeBindings) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#clock = createAlarmClock(ctx.storage);
    // `told`: of the region's loss, and not yet of its return.
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS shards (
        name TEXT PRIMARY KEY,
        region TEXT NOT NULL,
        told INTEGER NOT NULL DEFAULT 0
      ) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS shards_told ON shards (told);
    `);
  }

  /** A shard has open jobs in the region. Repeating it changes nothing. */
  async add(region: string, shard: string): Promise<void> {
    this.#sql.exec("INSERT OR IGNORE INTO shards (name, region) VALUES (?, ?)", shard, region);
    await this.#clock.wakeBy(this.now() + LOOK_EVERY_MS);
  }

  async remove(shard: string): Promise<void> {
    this.#sql.exec("DELETE FROM shards WHERE name = ?", shard);
  }

  override async alarm(): Promise<void> {
    this.#clock.rang();
    const [any] = this.#sql.exec<{ region: string }>("SELECT region FROM shards LIMIT 1").toArray();
    if (!any) return;
    let more = false;
    try {
      const views = trustedViews(await this.look());
      if (isLost(views, any.region)) more = await this.#tell("lost", any.region);
      else if (isEjected(views, any.region) === false) more = await this.#tell("back", any.region);
    } catch (error) {
      log("warn", "could not look after open jobs", {
        region: any.region,
        error: describeError(error),
      });
    }
    await this.#clock.wakeBy(this.now() + (more ? BATCH_EVERY_MS : LOOK_EVERY_MS));
  }

  /** Tells a batch of those that do not know it yet; true when there are more. */
  async #tell(news: RegionNews, region: string): Promise<boolean> {
    const told = news === "lost" ? 1 : 0;
    const shards = this.#sql
      .exec<{ name: string }>("SELECT name FROM shards WHERE told = ? LIMIT ?", 1 - told, BATCH)
      .toArray();
    if (shards.length === 0) return false;
    const jurisdictions = this.config().environment === "production";
    const callShard = createCallObject(this.env.LEDGER as DurableObjectNamespace<Ledger>, {
      jurisdictions,
    });
    const results = await Promise.allSettled(
      shards.map(async ({ name }) => {
        const birthRegion = name.split("/")[1] ?? "";
        await callShard(name, jurisdictionOf(birthRegion), (shard) =>
          news === "lost" ? shard.regionLost(region) : shard.regionBack(region),
        );
        this.#sql.exec("UPDATE shards SET told = ? WHERE name = ?", told, name);
      }),
    );
    const failed = results.filter(({ status }) => status === "rejected").length;
    log("info", `told shards that a region is ${news}`, { region, shards: shards.length, failed });
    return shards.length === BATCH || failed > 0;
  }
}
