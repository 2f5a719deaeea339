import { AnalysisPart } from "../../shared/contracts/job.ts";
import type { StagePlan } from "../../shared/contracts/stages.ts";
import type { Logger } from "../ops/logger.ts";
import { repeat } from "../ops/repeat.ts";
import type { PlannedJob, StagePlans } from "../results/stage-plans.ts";
import type { Analyzer } from "../speech/analyze.ts";

export interface AnnouncePlansOptions {
  analyzer: Pick<Analyzer, "plan">;
  plans: Pick<StagePlans, "publish">;
  logger: Logger;
  everyMs?: number;
}

export interface AnnouncePlans {
  /** Tells the region now and then what its parts are made with here, until the signal is aborted. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
  /** Tells it of a job's plan, and goes on doing so. */
  tell(job: PlannedJob, plan: StagePlan): void;
}

/** Languages and models that transcripts were asked for in; a region whose clients ask for more is told of these alone. */
const MOST_WANTED = 100;

/**
 * Keeps the API of the region up to date about what this worker's models would make. Plans are made again each time, for a
 * model may be installed or replaced while the worker runs.
 */
export function createAnnouncePlans(options: AnnouncePlansOptions): AnnouncePlans {
  const { analyzer, plans, logger, everyMs = 60_000 } = options;
  const all: PlannedJob = { parts: AnalysisPart.options };
  const wanted = new Map<string, PlannedJob>();
  const away = (error: unknown) => logger.debug({ err: error }, "cannot tell of plans now");

  return {
    run: (signal) =>
      repeat(
        async () => {
          await plans.publish(all, await analyzer.plan(all));
          for (const [name, job] of wanted) {
            try {
              await plans.publish(job, await analyzer.plan(job));
            } catch (error) {
              // The model may have been removed; whoever asks for it again is told by the worker.
              wanted.delete(name);
              away(error);
            }
          }
        },
        { everyMs, signal, onError: away },
      ),
    tell({ parts, language, model }, plan) {
      if (!parts.includes("transcript") || plan.identities.transcript === undefined) return;
      if (language === undefined && model === undefined) return;
      const name = `${language ?? ""} ${model ?? ""}`;
      if (wanted.has(name) || wanted.size >= MOST_WANTED) return;
      const job: PlannedJob = {
        parts: ["transcript"],
        ...(language === undefined ? {} : { language }),
        ...(model === undefined ? {} : { model }),
      };
      wanted.set(name, job);
      plans.publish(job, plan).catch(away);
    },
  };
}
