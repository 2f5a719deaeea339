import type { SimulatedEvent, SimulatedPool } from "./course.ts";
import { createCourse } from "./course.ts";
import { createHandOut } from "./create-hand-out.ts";
import { createKnowledge } from "./create-knowledge.ts";
import { createScaling, SCALE_EVERY_S } from "./create-scaling.ts";
import { createWorkers } from "./create-workers.ts";
import type { Simulation, SimulationOptions } from "./simulation.ts";

/** Runs jobs through workers, event by event, with the very policies that the regions run. Deterministic for its options. */
export function simulate(options: SimulationOptions): Simulation {
  const { jobs, reportEveryS = 0, scaling, sampleEveryS } = options;
  const course = createCourse(options);
  const { agenda, pools, result } = course;
  const knowledge = createKnowledge(course);
  const workers = createWorkers(course, knowledge);
  const handOut = createHandOut(course, knowledge, workers);
  const sizes = createScaling(course, workers, handOut.wake);

  for (const [index, region] of options.regions.entries()) {
    for (const { speed, slots } of region.workers) workers.add(pools[index]!, speed, slots);
    pools[index]!.ordered = region.workers.length;
  }
  for (const job of jobs) agenda.add(job.arrivesAtS, { type: "arrival", job });
  if (scaling) agenda.add(0, { type: "scale" });
  if (sampleEveryS !== undefined) agenda.add(0, { type: "sample" });
  sizes.countOrdered();

  while (result.ends.length < jobs.length) {
    const next = agenda.next();
    if (!next) throw new Error("jobs are left that nobody will ever take");
    course.nowS = next.atS;
    handle(next.event);
  }
  for (const pool of pools) for (const worker of pool.workers) workers.retire(worker);
  result.lengthS = course.nowS;
  return result;

  function handle(event: SimulatedEvent): void {
    switch (event.type) {
      case "arrival":
        return handOut.arrive(event.job);
      case "end":
        return handOut.end(event.pool, event.worker, event.run);
      case "ask":
        if (event.worker.asksAtS !== course.nowS) return;
        event.worker.asksAtS = undefined;
        return handOut.ask(event.pool, event.worker);
      case "report":
        if (!event.pool.workers.includes(event.worker)) return;
        event.worker.report = knowledge.reportOf(event.worker);
        agenda.add(course.nowS + reportEveryS, event);
        return;
      case "ready":
        return sizes.ready(event.pool, event.speed, scaling!);
      case "scale":
        for (const pool of pools) sizes.scale(pool, scaling!);
        agenda.add(course.nowS + SCALE_EVERY_S, event);
        return;
      case "sample":
        for (const pool of pools) sample(pool);
        agenda.add(course.nowS + sampleEveryS!, event);
    }
  }

  function sample(pool: SimulatedPool): void {
    course.result.timeline.push({
      atS: course.nowS,
      region: pool.id,
      waiting: pool.waiting.length + pool.workers.reduce((sum, { queue }) => sum + queue.length, 0),
      running: pool.workers.reduce((sum, { running }) => sum + running.length, 0),
      workers: pool.workers.length,
      slots: pool.workers.reduce((sum, { slots }) => sum + slots, 0),
    });
  }
}
