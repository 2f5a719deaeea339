import { startFauxqs, type FauxqsServer } from "fauxqs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { lanes } from "../../regions/queue/lanes.ts";
import { QueueUnreachableError } from "../../regions/queue/queue-port.ts";
import type { Completion, DeadLetter, Queue, Run } from "../../regions/queue/queue-port.ts";
import { MOST_BYTES } from "../../regions/queue/sqs-calls.ts";
import { createSqsQueue, type SqsQueueOptions } from "../../regions/queue/sqs-queue.ts";
import { createSqsQueues } from "../../regions/queue/sqs-queues.ts";
import { startSqsLine, type SqsLine } from "../support/sqs-line.ts";
import { endOf, failing, jobSpec, LEASE_MS, REGION, RETRY, type Ability } from "./queue-bench.ts";
import { queueConformance } from "./queue-conformance.ts";

const PREFIX = "antiphon-test";

let server: FauxqsServer;
let line: SqsLine;
const settings = () => ({
  region: REGION,
  prefix: PREFIX,
  endpoint: line.url,
  accessKeyId: "test",
  secretAccessKey: "test",
});
beforeAll(async () => {
  server = await startFauxqs({ port: 0, logger: false });
  line = await startSqsLine(server.port);
  await createSqsQueues(settings());
});
afterAll(async () => {
  await line.close();
  await server.stop();
});

/** A look goes through all lanes. */
const foundNothing = () => line.emptyReceives(lanes.length);

const offered = () =>
  server
    .inspectQueue(`${PREFIX}-offers`)!
    .messages.ready.map(({ body }) => JSON.parse(body) as Completion);

/** What SQS cannot; `createSqsQueue` says why. */
const lacks = new Set<Ability>([
  "once",
  "arrival",
  "state",
  "cancel",
  "reaper",
  "tenants",
  "room",
  "figures",
  "workers",
]);

const conformance = queueConformance(
  "SQS",
  async (now, retry) => {
    // The server, which runs in this process, hides messages by the test's clock.
    const clock = vi.spyOn(Date, "now").mockImplementation(now);
    server.reset();
    const queue = createSqsQueue({ ...settings(), leaseMs: LEASE_MS, now, retry });
    return {
      queue,
      offers: async () => offered(),
      foundNothing,
      close: async () => {
        await queue.close();
        clock.mockRestore();
      },
    };
  },
  lacks,
);

describe("the suite for SQS", () => {
  it("says which tests are left out, and for what", () => {
    const leftOut = conformance.leftOut.map(({ name, lacks: what }) => `${what.join()}: ${name}`);
    expect(leftOut.toSorted()).toEqual([
      "arrival: hands a run back to its old place, before what came later",
      "arrival: runs a tenant's jobs of a class in order of arrival",
      "cancel,once: a newer dispatch of a job that was to be canceled runs",
      "cancel: a run that is handed back, fails or stalls after a cancel ends as canceled",
      "cancel: a waiting or delayed job ends at once, and never runs",
      "cancel: the worker of a running job hears at once, and by its renewals, and ends it",
      "figures: what waits is counted by class, in jobs, compute-seconds and the oldest wait",
      "once,state: a result that was known at accept is offered once for each dispatch",
      "once: it replaces older runs of the job, and gives way to newer ones",
      "once: lets a newer dispatch replace a waiting and a running one, and refuses an older one",
      "once: takes one dispatch once, however often and whenever it is submitted",
      "reaper,once: has the reaper say whom it took a run from, and end the third at once",
      "reaper,state: the reaper ends what waits, or waits to be tried again, past its deadline",
      "reaper: a job whose workers died tells which they were",
      "reaper: takes a run from its worker once when several reapers come at once",
      "room: a job that was passed over for too long holds back those behind it",
      "room: a job that was passed over too often holds back those behind it until a worker with room comes",
      "room: a worker with little room takes what fits, and an idle one anything",
      "state,arrival: counts the jobs that go first, over all higher priorities",
      "state,once: a job in the pause is queued, and one that failed is known, so that it is not run again",
      "state: a job that was left to newer workers is queued, in its old place",
      "state: a watcher that comes back with the version it knows hears of what is new alone",
      "state: any number of newer jobs hold up none of those behind them, and newer workers then take them first",
      "state: tells how a job is doing, and whose it is",
      "state: watching ends when it is aborted, and for a job that nobody knows",
      "state: who watches a job sees each state with a version that grows, up to the last",
      "tenants,cancel: a tenant's place is not won back by calling a job off",
      "tenants,state: a tenant that floods 10,000 jobs delays another's single job by no more than a few jobs",
      "tenants: a tenant at its limit holds no slot: others go on, and its next job starts when one ends",
      "tenants: a tenant that comes back gains nothing by having been away between its jobs",
      "tenants: many tenants take turns",
      "tenants: slots of a tenant at its limit come free by every way a run can end",
      "tenants: tenants get equal compute-seconds, however long their jobs are",
      "workers: reports of workers count until they are too old, by the queue's clock",
    ]);
  });
});

describe("on SQS", () => {
  let time: number;
  const opened: Queue[] = [];
  beforeEach(() => {
    time = 1_800_000_000_000;
    vi.spyOn(Date, "now").mockImplementation(() => time);
    server.reset();
    line.lost.clear();
    line.calls.length = 0;
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await Promise.all(opened.splice(0).map((queue) => queue.close()));
  });
  function open(changes: Partial<SqsQueueOptions> = {}): Queue {
    const queue = createSqsQueue({
      ...settings(),
      leaseMs: LEASE_MS,
      now: () => time,
      retry: RETRY,
      ...changes,
    });
    opened.push(queue);
    return queue;
  }
  /** What can be had now. */
  async function claim(queue: Queue, workerId = "w1"): Promise<Run | undefined> {
    const stop = new AbortController();
    void foundNothing().then(() => stop.abort());
    return queue.claim({ workerId, signal: stop.signal });
  }
  const messages = (name: string) => server.inspectQueue(`${PREFIX}-${name}`)!.messages;

  it("a worker of another process takes a dead one's job over as a later attempt, and the dead one is refused", async () => {
    const [first, second] = [open(), open()];
    await first.submit(jobSpec());
    const run = (await claim(first))!;
    expect(await claim(second, "w2")).toBeUndefined();
    time += LEASE_MS;
    const next = (await claim(second, "w2"))!;
    expect(next).toMatchObject({ workerId: "w2", epoch: { dispatch: 1, attempt: 2 } });
    expect(await first.renew(run)).toBeUndefined();
    expect(await first.finish(run, endOf(run, time))).toBe("fenced");
    expect(await second.finish(next, endOf(next, time))).toBe("offered");
    expect(offered().map(({ offer }) => offer.epoch.attempt)).toEqual([2]);
  });

  it("a renewal holds at SQS too, for others", async () => {
    const [first, second] = [open(), open()];
    await first.submit(jobSpec());
    const run = (await claim(first))!;
    time += LEASE_MS / 2;
    await first.renew(run);
    time += LEASE_MS - 1;
    expect(await claim(second)).toBeUndefined();
    time += 1;
    expect(await claim(second)).toBeDefined();
  });

  it("a job whose message could not be removed comes again as a later attempt, for the ledger to refuse", async () => {
    const told: unknown[] = [];
    const queue = open({ onError: (error) => told.push(error) });
    await queue.submit(jobSpec());
    const run = (await claim(queue))!;
    line.lost.add("DeleteMessage");
    expect(await queue.finish(run, endOf(run, time))).toBe("offered");
    line.lost.clear();
    expect(told).toHaveLength(1);
    time += LEASE_MS;
    const again = (await claim(queue))!;
    await queue.finish(again, endOf(again, time));
    expect(offered().map(({ offer }) => offer.epoch.attempt)).toEqual([1, 2]);
    expect(await queue.load()).toMatchObject({ waiting: 0, running: 0 });
  });

  it("an end that could not be offered is offered by the next try, while the lease lasts", async () => {
    const queue = open();
    await queue.submit(jobSpec());
    const run = (await claim(queue))!;
    line.lost.add("SendMessage");
    await expect(queue.finish(run, endOf(run, time))).rejects.toThrow();
    await expect(queue.release(run, failing)).rejects.toThrow();
    line.lost.clear();
    expect(await queue.finish(run, endOf(run, time))).toBe("offered");
    expect(offered()).toHaveLength(1);
  });

  it("an end that is asked for twice at once is offered once, and one long past is forgotten", async () => {
    const queue = open();
    await queue.submit(jobSpec());
    const run = (await claim(queue))!;
    const finish = () => queue.finish(run, endOf(run, time));
    expect(await Promise.all([finish(), finish()])).toEqual(["offered", "offered"]);
    expect(offered()).toHaveLength(1);
    time += 10 * LEASE_MS;
    await claim(queue);
    expect(await finish()).toBe("offered");
    time += LEASE_MS + 1;
    await claim(queue);
    expect(await finish()).toBe("fenced");
  });

  it("a job that starts later than SQS can hold it back is held back again, and loses no attempt by it", async () => {
    const queue = open();
    const spec = jobSpec({ not_before: new Date(time + 3_600_000).toISOString() });
    await queue.submit(spec);
    for (let quarter = 1; quarter < 4; quarter++) {
      time += 900_000;
      expect(await claim(queue)).toBeUndefined();
      expect(await queue.load()).toMatchObject({ waiting: 0, delayed: 1, dead: 0 });
    }
    time += 900_000;
    const run = (await claim(queue))!;
    expect(run).toMatchObject({ spec, triedBefore: 0 });
    // Its stalls are all its own still.
    time += LEASE_MS;
    expect((await claim(queue))!.epoch.attempt).toBe(run.epoch.attempt + 1);
  });

  it("SQS is asked for whole seconds, rounded up, and for no more than it grants", async () => {
    const queue = open();
    for (const ms of [1, 1500, 900_000, 900_001, 7 * 86_400_000]) {
      await queue.submit(jobSpec({ not_before: new Date(time + ms).toISOString() }));
    }
    const sent = line.calls.filter(({ name }) => name === "SendMessage");
    expect(sent.map(({ input }) => input["DelaySeconds"])).toEqual([1, 2, 900, 900, 900]);
  });

  it("a job that three workers were lost with tells how often, though not by whom", async () => {
    const queue = open();
    await queue.submit(jobSpec());
    for (let lost = 0; lost < 3; lost++) {
      await claim(queue);
      time += LEASE_MS;
    }
    expect(await claim(queue)).toBeUndefined();
    const [letter] = (await queue.deadLetters.list()).data;
    expect(letter!.epoch.attempt).toBe(4);
    expect(letter!.history.map(({ attempt, how, worker_id }) => [attempt, how, worker_id])).toEqual(
      [
        [1, "stalled", "unknown"],
        [2, "stalled", "unknown"],
        [3, "stalled", "unknown"],
      ],
    );
  });

  it("a dead letter that was marked, and not removed before, is still one letter with its mark", async () => {
    const queue = open();
    await queue.submit(jobSpec());
    await queue.release((await claim(queue))!, { ...failing, retryable: false });
    const [{ id }] = (await queue.deadLetters.list()).data as [DeadLetter];
    line.lost.add("DeleteMessage");
    await expect(queue.deadLetters.markReplayed(id, "job_a")).rejects.toThrow();
    line.lost.clear();
    expect(messages("dead").ready).toHaveLength(2);
    expect((await queue.deadLetters.list()).data).toMatchObject([{ id, replayedAs: "job_a" }]);
    expect(await queue.deadLetters.markReplayed(id, "job_b")).toBe("job_a");
    // In whichever order they are found.
    const bodies = messages("dead").ready.map(({ body }) => body);
    server.reset();
    for (const body of bodies.toReversed()) server.sendMessage(`${PREFIX}-dead`, body);
    expect((await queue.deadLetters.list()).data).toMatchObject([{ id, replayedAs: "job_a" }]);
    expect(await queue.deadLetters.discard([id])).toBe(1);
    expect(messages("dead").ready).toEqual([]);
  });

  it("a result too long for a message is left out, and lies where the offer says", async () => {
    const queue = open();
    await queue.submit(jobSpec());
    const run = (await claim(queue))!;
    const completion = endOf(run, time);
    completion.envelope.result = { transcript: "é".repeat(MOST_BYTES / 2) };
    completion.offer.result_key = "results/somewhere.json";
    expect(await queue.finish(run, completion)).toBe("offered");
    expect(offered()).toEqual([
      { ...completion, envelope: { ...completion.envelope, result: null } },
    ]);
  });

  it("a specification too long for a message is refused, and nothing is taken", async () => {
    const queue = open();
    const spec = { ...jobSpec(), request_id: "x".repeat(MOST_BYTES) };
    await expect(queue.submit(spec)).rejects.toMatchObject({ code: "body_too_large" });
    expect(await queue.load()).toMatchObject({ waiting: 0 });
  });

  it("characters that SQS refuses get through", async () => {
    const queue = open();
    const spec = jobSpec({ metadata: { odd: "\uFFFE\uFFFF\u0001 é 🎧" } });
    await queue.submit(spec);
    expect((await claim(queue))!.spec).toEqual(spec);
  });

  it("a message that is no job is told of and left, and those behind it go on", async () => {
    const told: unknown[] = [];
    const queue = open({ onError: (error) => told.push(error) });
    server.sendMessage(`${PREFIX}-standard`, "hello");
    const spec = jobSpec();
    await queue.submit(spec);
    expect((await claim(queue))!.spec.id).toBe(spec.id);
    expect(told).toHaveLength(1);
    expect(messages("standard").inflight).toHaveLength(2);
  });

  it("a wait that is broken off stops also where it meets one message after another that is none", async () => {
    const stop = new AbortController();
    const queue = open({ onError: () => stop.abort() });
    for (let n = 0; n < 3; n++) server.sendMessage(`${PREFIX}-standard`, "hello");
    expect(await queue.claim({ workerId: "w1", signal: stop.signal })).toBeUndefined();
    expect(messages("standard").ready).toHaveLength(2);
  });

  it("SQS is told whose a job is, to share fairly by, however it is sent", async () => {
    const queue = open();
    await queue.submit(jobSpec({ tenant_id: "ten_other" }));
    await queue.release((await claim(queue))!, { because: "drain" });
    const sent = line.calls.filter(({ name }) => name === "SendMessage");
    expect(sent.map(({ input }) => input["MessageGroupId"])).toEqual(["ten_other", "ten_other"]);
  });

  it("without SQS, or without its queues, everything says that the queue cannot be reached", async () => {
    const queues = [open({ endpoint: "http://127.0.0.1:9" }), open({ prefix: "elsewhere" })];
    for (const queue of queues) {
      await expect(queue.submit(jobSpec())).rejects.toThrow(QueueUnreachableError);
      await expect(claim(queue)).rejects.toThrow(QueueUnreachableError);
      await expect(queue.ping()).rejects.toThrow(QueueUnreachableError);
    }
    await expect(open().ping()).resolves.toBeUndefined();
  });

  it("its queues keep what they can, sealed, give nothing away by themselves, and may be made twice", async () => {
    await createSqsQueues(settings());
    const made = line.calls.map(({ input }) => input);
    const names = ["interactive-vip", "interactive", "standard-vip", "standard", "batch-vip"];
    expect(new Set(made.map(({ QueueName }) => QueueName))).toEqual(
      new Set([...names, "batch", "dead", "offers"].map((name) => `${PREFIX}-${name}`)),
    );
    for (const { Attributes } of made) {
      expect(Attributes).toMatchObject({
        MessageRetentionPeriod: "1209600",
        SqsManagedSseEnabled: "true",
      });
      expect(Attributes).not.toHaveProperty("RedrivePolicy");
    }
  });
});
