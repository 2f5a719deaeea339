import { Command } from "commander";
import { TranscriptionRefusal } from "../../regions/speech/transcription/transcription-refusal.ts";
import { evaluateFeatures } from "./evaluate-features.ts";
import { evaluateTranscription } from "./evaluate-transcription.ts";
import { printFeatures } from "./print-features.ts";
import { printClip, printTranscription } from "./print-transcription.ts";

const program = new Command("eval").description("How right the numbers are, against references.");

program
  .command("features")
  .description("The 88 features of eGeMAPSv02 against openSMILE's, recording by recording.")
  .argument("[dir]", "folder of recordings; the prompts that ship when absent")
  .argument("[csv]", "reference figures: `clip` and the 88 names, separated by semicolons")
  .option("--json", "print only one JSON object", false)
  .action(async (dir: string | undefined, csv: string | undefined, options: { json: boolean }) => {
    if ((dir === undefined) !== (csv === undefined)) {
      program.error("A folder of recordings and a file of reference figures go together.");
    }
    const stop = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
    const evaluation = await evaluateFeatures({ dir, csv, signal: stop.signal });
    printFeatures(evaluation, options.json);
  });

interface TranscriptionOptions {
  json: boolean;
  model?: string;
  language?: string;
}

program
  .command("transcription")
  .description("Words that the transcripts got wrong, and how long they took.")
  .argument("[dir]", "folder of recordings; the prompts that ship when absent")
  .argument(
    "[tsv]",
    "what is said: `clip`, tab, words; transcripts.tsv in or beside the folder when absent",
  )
  .option(
    "--model <name>",
    "whisper-base, pocketsphinx-en-us, …; the best that is installed when absent",
  )
  .option("--language <code>", "of the speech; found out when absent")
  .option("--json", "print only one JSON object", false)
  .action(
    async (dir: string | undefined, tsv: string | undefined, options: TranscriptionOptions) => {
      const { json, model, language } = options;
      const stop = new AbortController();
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
      const { signal } = stop;
      const evaluation = await evaluateTranscription({
        dir,
        tsv,
        model,
        language,
        signal,
        ...(json ? {} : { onClip: printClip }),
      }).catch((error: unknown) => {
        if (error instanceof TranscriptionRefusal) program.error(error.message);
        throw error;
      });
      printTranscription(evaluation, json);
    },
  );

await program.parseAsync();
