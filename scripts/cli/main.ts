import { Argument, Command, Option } from "commander";
import { AntiphonError, ConnectionError } from "../../shared/client/errors.ts";
import { Priority } from "../../shared/contracts/job.ts";
import { SpeechFormat } from "../../shared/contracts/speech.ts";
import { TranscriptionFormat } from "../../shared/contracts/transcription.ts";
import { analyze, type AnalyzeOptions } from "./analyze.ts";
import { createBatch, showBatch, type BatchesOptions } from "./batches.ts";
import { UsageError, type ConnectionOptions } from "./connection.ts";
import {
  discardDeadLetters,
  listDeadLetters,
  replayDeadLetters,
  showDeadLetter,
  type DeadLettersOptions,
} from "./dead-letters.ts";
import {
  deleteData,
  showDeletion,
  type DeleteOptions,
  type DeletionsOptions,
} from "./deletions.ts";
import { cancelJob, jobs, type JobsOptions } from "./jobs.ts";
import { speak, type SpeakOptions } from "./speak.ts";
import { status } from "./status.ts";
import { transcribe, type TranscribeOptions } from "./transcribe.ts";
import { usage, type UsageOptions } from "./usage.ts";
import { WEBHOOK_ACTS, webhooks, type WebhooksOptions } from "./webhooks.ts";

const abort = new AbortController();
process.once("SIGINT", () => abort.abort());
process.once("SIGTERM", () => abort.abort());

// `… | head` is no fault.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

/** Runs a command and sets the exit code: 0 done, 1 the job or call failed, 2 wrong usage, 130 interrupted. */
async function run(command: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await command();
  } catch (error) {
    process.exitCode = error instanceof UsageError ? 2 : 1;
    if (abort.signal.aborted) {
      process.exitCode = 130;
      process.stderr.write("interrupted\n");
    } else if (error instanceof AntiphonError) {
      const { problem } = error;
      process.stderr.write(`${problem.code}: ${problem.detail}\n`);
      for (const field of problem.errors ?? [])
        process.stderr.write(`  ${field.path}: ${field.message}\n`);
      process.stderr.write(
        `  request ${problem.request_id}${problem.retryable ? ", worth another try" : ""}\n`,
      );
    } else if (error instanceof UsageError || error instanceof ConnectionError) {
      process.stderr.write(`${error.message}\n`);
    } else throw error;
  }
}

const program = new Command("antiphon").description(
  "Voice in; analysis, transcripts and speech out.",
);

function connected(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option("--url <url>", "the API (default: ANTIPHON_URL, or the local planet)")
    .option("--key <key>", "the API key (default: ANTIPHON_API_KEY, or the local planet's)")
    .option("--region <id>", "ask for a region; has no effect in production")
    .option("--json", "print JSON");
}

connected("analyze", "upload a recording, analyse it, print the result")
  .argument("[file]", "audio file (default: the sample that ships with the project)")
  .option("--parts <list>", "comma-separated parts (default: all)")
  .option("--user <id>", "your own id for the person who speaks")
  .option("--multi-region", "accepted only once the recording lies in two regions")
  .option("--plot <file>", "draw waveform, pitch and speech into an SVG file")
  .addOption(new Option("--priority <priority>").choices(Priority.options))
  .action((file: string | undefined, options: AnalyzeOptions) =>
    run(() => analyze(file, options, abort.signal)),
  );

connected("jobs", "show one job, or list the newest; `jobs cancel <id>` stops one")
  .argument("[id]", "a job's id, or cancel")
  .argument("[canceled]", "the job to cancel")
  .option("--limit <n>", "how many", "20")
  .option("--user <id>", "only this end user's")
  .action((id: string | undefined, canceled: string | undefined, options: JobsOptions) =>
    run(() => (id === "cancel" ? cancelJob(canceled, options) : jobs(id, options))),
  );

connected(
  "dead-letters",
  "jobs that failed on every attempt: list, show <id>, replay <id…>, discard <id…>",
)
  .addArgument(new Argument("[act]").choices(["list", "show", "replay", "discard"]).default("list"))
  .argument("[ids...]", "letters' ids")
  .option("--all", "replay or discard all of them (of one region with --region)")
  .action((act: string, ids: string[], options: DeadLettersOptions) =>
    run(() => {
      if (act === "show") return showDeadLetter(ids, options);
      if (act === "replay") return replayDeadLetters(ids, options);
      if (act === "discard") return discardDeadLetters(ids, options);
      return listDeadLetters(options);
    }),
  );

connected("delete", "delete a job's data, an end user's (--user), or all of it (--all), for good")
  .argument("[job]", "a job's id")
  .option("--user <id>", "all jobs of this end user until now")
  .option("--all", "everything until now")
  .action((job: string | undefined, options: DeleteOptions) => run(() => deleteData(job, options)));

connected("deletions", "show the receipt of a deletion: show <id>")
  .addArgument(new Argument("<act>").choices(["show"]))
  .argument("<id>", "the deletion's id")
  .option("--verify", "check the receipt's signature by the deployment's published keys")
  .action((_act: string, id: string, options: DeletionsOptions) =>
    run(() => showDeletion(id, options)),
  );

connected("usage", "show what was used by day, and what it cost")
  .option("--from <day>", "first day, such as 2026-11-01 (default: 30 days ago)")
  .option("--to <day>", "last day (default: today)")
  .action((options: UsageOptions) => run(() => usage(options)));

connected(
  "webhooks",
  "where events of jobs are sent: list, create <url>, pause, resume, rotate or delete <id>; deliveries [id]; redeliver <delivery>",
)
  .addArgument(new Argument("[act]").choices(WEBHOOK_ACTS).default("list"))
  .argument("[subject]", "a URL, or an id")
  .option("--events <list>", "comma-separated (default: all)")
  .option("--include-result", "results up to 256 KiB go with the event")
  .option("--tenant-secret", "rotate: the secret that signs for the webhook_url of jobs")
  .option("--overlap <seconds>", "rotate: how long the secret before signs too (default: a day)")
  .action(
    (act: (typeof WEBHOOK_ACTS)[number], subject: string | undefined, options: WebhooksOptions) =>
      run(() => webhooks(act, subject, options)),
  );

connected("status", "show each region's health and load").action(
  (options: ConnectionOptions & { json?: boolean }) => run(() => status(options)),
);

connected("speak", "speak a text into an audio file")
  .argument("<text>", "English text, 4096 characters at most")
  .option(
    "--voice <id>",
    "slt, rms, awb, kal, or that of an installed model, as GET /v1/voices lists them",
    "slt",
  )
  .addOption(
    new Option("--format <format>", "of the audio").choices(SpeechFormat.options).default("wav"),
  )
  .option("--speed <factor>", "0.25 to 4", "1")
  .option("--out <file>", "where to write it; - is standard output (default: speech.<format>)")
  .option("--async", "as a job, whose id is told at once")
  .action((text: string, options: SpeakOptions) => run(() => speak(text, options, abort.signal)));

connected("batches", "speak many texts as one batch: create <file>, show <id>")
  .addArgument(new Argument("<act>").choices(["create", "show"]))
  .argument(
    "<subject>",
    "a file of texts, one a line, or of items as the API takes them (.json); or a batch's id",
  )
  .option("--deadline <seconds>", "create: what is not done by then fails")
  .option("--limit <n>", "show: how many of its items", "20")
  .option("--cursor <cursor>", "show: go on from here")
  .action((act: "create" | "show", subject: string, options: BatchesOptions) =>
    run(() =>
      act === "show" ? showBatch(subject, options) : createBatch(subject, options, abort.signal),
    ),
  );

connected("transcribe", "upload a recording, print what is said in it")
  .argument("<file>", "audio file with speech")
  .option(
    "--language <code>",
    "of the speech, such as en; found out when absent, where that can be",
  )
  .option("--model <name>", "what is to listen; the best that is installed when absent")
  .addOption(
    new Option("--format <format>", "of the transcript")
      .choices(TranscriptionFormat.options)
      .default("text"),
  )
  .action((file: string, options: TranscribeOptions) =>
    run(() => transcribe(file, options, abort.signal)),
  );

await program.parseAsync();
