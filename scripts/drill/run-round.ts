import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../../shared/client/client.ts";
import { createClientLedger, type ClientKind, type Entry } from "./client-ledger.ts";
import type { Fault } from "./faults.ts";
import { followJobs, look } from "./follow-jobs.ts";
import { judge, type Verdict } from "./judge.ts";
import { runLoad } from "./load.ts";
import type { PlanetUnderDrill } from "./planet-under-drill.ts";
import { idsOf, rowsOnce, settledRows } from "./await-rows.ts";
import { receiveWebhooks } from "./webhook-receiver.ts";
import type { WalPosition } from "../../shared/contracts/primary.ts";
import { SLOW_START_MS } from "../../shared/policies/route.ts";
import { compareWal } from "../../shared/policies/primary.ts";
import { createTimeline, type Moment } from "./timeline.ts";
import type { Duty } from "./duty.ts";
import { judgeReturn, tellReturn, type Return } from "./judge-return.ts";
import { reignsOf, tellReigns, twoPrimariesMs } from "./judge-primaries.ts";
import { assertGiven, createOperator } from "./operator.ts";
import { watch, watchHealth } from "./watch-planet.ts";
import { untilTakesMost, watchRouting, type Routed } from "./watch-routing.ts";
import { createWitness, type WitnessCommit } from "./witness.ts";

export interface RoundOptions {
  planet: PlanetUnderDrill;
  region: string;
  fault: Fault;
  clients: DrillClients;
  operator: Client;
  /** The region that has the primary when all is well. */
  home: string;
  /** New requests a second, all clients together. */
  rate: number;
  /** How long the fault lasts, how long load runs before it and after its end, and how long all jobs may take to end. */
  holdMs: number;
  beforeMs: number;
  afterMs: number;
  settleMs: number;
  signal: AbortSignal;
  say(line: string): void;
}

/** Clients of the drill's own tenants; `there`: one whose requests all go to the region. */
export type DrillClients = Record<ClientKind | "there", Client>;

export interface RoundReport {
  verdict: Verdict;
  /** For how long two servers took writes as the primary; and who wrote when, as text. */
  twoPrimariesMs: number;
  reigns: string[];
  /** How the region got its requests again, where that could be seen; and the same as text. */
  return: Return | undefined;
  returned: string;
  moments: readonly Moment[];
  /** Since the fault: when requests were accepted, and when tries failed. For the picture. */
  accepted: { atMs: number; region: string; client: ClientKind }[];
  failed: number[];
  healedMs: number;
  /** The same of the witness's commits and of where requests were sent. */
  commits: { atMs: number; region: string; timeline: number }[];
  routed: Routed[];
}

/** How long webhooks may take to come after all else has come to rest. */
const WEBHOOKS_MS = 30_000;
/** Somewhat longer than a region takes until it has its whole share. */
const RESTS_WITHIN_MS = SLOW_START_MS + 15_000;
/** One of five requests is of the tenant that is bound to the region. */
const BOUND_SHARE = 0.2;

/** Load, the fault under it, its end, and the judgement once all has come to rest. */
export async function runRound(options: RoundOptions): Promise<RoundReport> {
  const { planet, region, fault, clients, rate, holdMs, signal, say } = options;
  const now = () => performance.now();
  const ledger = createClientLedger();
  const timeline = createTimeline(now, say);
  const loading = new AbortController();
  const following = new AbortController();
  const until = (controller: AbortController) => AbortSignal.any([controller.signal, signal]);
  const pause = (ms: number) => sleep(ms, undefined, { signal });
  const urls = Object.values(planet.databases).map(({ postgres }) => postgres);
  const boundShare = fault.durable || fault.loadElsewhere ? 0 : BOUND_SHARE;
  let faultMs = Number.POSITIVE_INFINITY;

  const commanded: string[] = [];
  const onCommand = (command: string) => void commanded.push(command);
  const duty: Duty = {
    region,
    home: options.home,
    operate: createOperator(planet.stateDir, { signal, onCommand }),
    clientThere: clients.there,
    note: (what) => timeline.note(what),
    signal,
  };

  const webhooks = await receiveWebhooks();
  const load = runLoad({
    ledger,
    webhookUrl: webhooks.url,
    stop: signal,
    durability: fault.durable ? "multi_region" : "region",
    clients: {
      free: { client: clients.free, everyMs: 1000 / (rate * (1 - boundShare)) },
      ...(boundShare === 0
        ? {}
        : { bound: { client: clients.bound, everyMs: 1000 / (rate * boundShare) } }),
    },
    now,
    signal: until(loading),
    onFailure(entry, what) {
      if (entry.client === "free") timeline.first("first failed try", `a try failed: ${what}`);
    },
    onAccepted(entry) {
      if (entry.client !== "free" || entry.startedMs < faultMs) return;
      const { region: by } = entry.accepted!;
      if (by !== region) timeline.first("accepted elsewhere", `a new request accepted by ${by}`);
    },
  });
  const follow = { ledger, clients, now, onSeen };
  function onSeen({ dispatch, final, waitedFor }: Entry): void {
    if (waitedFor.size > 0) timeline.first("waits", "a job waits for its region or its audio");
    if (dispatch > 1 || (final && final.dispatch > 1)) {
      timeline.first("re-dispatched", "a job seen under a new dispatch");
    }
  }
  const watching = followJobs({ ...follow, signal: until(following) });
  const health = watchHealth(clients.free, region, until(following), (healthy) => {
    if (!healthy) timeline.first("detected", `${region} no longer counts as healthy`);
    else if (timeline.at("detected") !== undefined) {
      timeline.first("healthy again", `${region} counts as healthy again`);
    }
  });

  let term: number | undefined;
  let due: WalPosition | null | undefined;
  const leader = watch(options.operator.admin.getPrimary, until(following), (primary) => {
    const { holder } = primary;
    if (holder === null) return;
    if (term !== undefined && primary.term !== term) {
      timeline.first(
        `term ${primary.term}`,
        `${holder} has the database's primary (term ${primary.term})`,
      );
    }
    term = primary.term;
    if (timeline.at("back") === undefined || holder === region) return;
    const reportOf = (id: string) => primary.regions.find((each) => each.region === id);
    // Up to where the primary's log was once the region ran again.
    due ??= reportOf(holder)?.position;
    const { role, position } = reportOf(region) ?? {};
    if (role === "replica" && due && position && compareWal(position, due) >= 0) {
      timeline.first("caught up", `${region}'s Postgres has caught up as a replica`);
    }
  });

  let writing: string | undefined;
  const witness = createWitness({
    databases: planet.databases,
    now,
    onCommit({ region: writer, timeline: log }) {
      if (writing !== undefined && writing !== writer) {
        timeline.first(
          `${writer} writes ${log}`,
          `${writer}'s Postgres takes writes as the primary (timeline ${log})`,
        );
      }
      writing = writer;
    },
  });
  const routed: Routed[] = [];
  const routing = watchRouting(clients.free, { routed, now, signal: until(loading) });

  try {
    await pause(options.beforeMs);
    // Only where the load goes on for long enough to see how requests return.
    if (options.afterMs > SLOW_START_MS) {
      await untilTakesMost(routed, region, { withinMs: RESTS_WITHIN_MS, now, signal });
    }
    if (witness.commits.length === 0) throw new Error("no Postgres takes the drill's own writes");
    const before = await rowsOnce(urls, idsOf(ledger.entries), signal);
    timeline.note(`${idsOf(ledger.entries).length} jobs accepted, ${before.size} with rows`);
    faultMs = now();
    timeline.begin();
    timeline.first("fault", fault.does.replace("{region}", region));
    await fault.inflict(planet, region, duty);
    await Promise.all([pause(holdMs), fault.meanwhile?.(duty)]);
    const healedMs = now();
    timeline.first("mended", "the fault ends");
    await fault.heal(planet, region, duty);
    timeline.first("back", `${region} runs again`);
    await pause(options.afterMs);
    const returnedMs = now();
    await fault.afterwards?.(duty);
    assertGiven(fault.runbook, commanded);
    loading.abort();
    await load;
    await routing;
    timeline.first("load ended", `${idsOf(ledger.entries).length} jobs accepted in all`);
    await settled(() => ledger.open().length === 0, options.settleMs, signal);
    const left = ledger.open().length;
    timeline.first("all final", left === 0 ? "all accepted jobs are final" : `${left} still open`);
    const rows = await settledRows(urls, ledger.entries, options.settleMs, signal);
    timeline.first("all stored", `${rows.size} jobs have their rows`);
    // What was final must say the same now.
    const final = ledger.entries.filter((entry) => entry.final);
    await look(final, { ...follow, signal });
    await settled(() => webhooks.ids.size >= final.length, WEBHOOKS_MS, signal);
    timeline.first("all told", `${webhooks.ids.size} webhooks came`);
    await witness.close();
    const reigns = reignsOf(witness.commits);
    const twoAtOnce = twoPrimariesMs(reigns);
    for (const ended of reigns.slice(0, -1)) {
      const { region: writer, timeline: log, untilMs } = ended;
      timeline.was(untilMs, `${writer}'s Postgres took its last write (timeline ${log})`);
    }
    const told = tellReigns(reigns, faultMs);
    const healthy = timeline.at("healthy again");
    const share = judgeReturn(routed, region, {
      faultMs,
      healedMs,
      healthyMs: healthy === undefined ? undefined : faultMs + healthy,
      untilMs: returnedMs,
    });
    const returned = tellReturn(region, share);
    for (const line of [...told, ...(fault.takesRegion ? [returned] : [])]) say(`  ${line}`);
    const facts = { entries: ledger.entries, faultMs, healedMs, rows, webhooks: webhooks.ids };
    const verdict = judge({ ...facts, committedBefore: new Set(before.keys()) });
    return {
      verdict,
      twoPrimariesMs: Math.round(twoAtOnce),
      reigns: told,
      return: share,
      returned,
      moments: timeline.moments,
      accepted: ledger.entries.flatMap(({ accepted, client }) =>
        accepted ? [{ atMs: accepted.atMs - faultMs, region: accepted.region, client }] : [],
      ),
      failed: ledger.entries.flatMap(({ failures }) => failures.map(({ atMs }) => atMs - faultMs)),
      healedMs: healedMs - faultMs,
      commits: witness.commits.map((commit) => sinceFault(commit, faultMs)),
      routed: routed.map(({ atMs, region: to }) => ({ atMs: atMs - faultMs, region: to })),
    };
  } finally {
    loading.abort();
    following.abort();
    await Promise.allSettled([load, watching, health, leader, routing, witness.close()]);
    await webhooks.close();
  }
}

const sinceFault = ({ region, timeline, answeredMs }: WitnessCommit, faultMs: number) => ({
  atMs: answeredMs - faultMs,
  region,
  timeline,
});

/** Waits until `done`, for so long at most. */
async function settled(done: () => boolean, ms: number, signal: AbortSignal): Promise<void> {
  const end = performance.now() + ms;
  while (!done() && performance.now() < end) await sleep(200, undefined, { signal });
}
