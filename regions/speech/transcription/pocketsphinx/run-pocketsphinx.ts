import { spawn } from "node:child_process";
import type { SpeechSegment } from "../../../../shared/contracts/analysis-result.ts";
import { TranscriberError } from "../transcriber-error.ts";
import type { SpooledAudio } from "../transcription-engine.ts";
import type { Pocketsphinx } from "./find-pocketsphinx.ts";
import { createAnswerReader } from "./read-answers.ts";
import type { PocketsphinxAnswer } from "./read-answers.ts";

export interface RunOptions {
  signal: AbortSignal;
  /** A process that is silent for so long is killed. */
  stallMs: number;
  /** Told of the utterance at this place of the list, in order. */
  onAnswer: (at: number, answer: PocketsphinxAnswer) => void;
}

/**
 * Pipes on both sides: the program opens /dev/stdin and /dev/stdout by name, which cannot be done with the sockets that
 * Node gives its children.
 */
const PIPED = 'cat | "$0" "$@" | cat';

/**
 * Runs one process over utterances of a recording and resolves when it has answered all of them. No silence is removed,
 * which would move the times, and no noise, whose estimate would make one utterance's answer depend on what comes before.
 * The process has an empty environment and sees nothing but samples.
 *
 * @throws {TranscriberError} `transcriber_crashed` or `transcriber_stalled`; what was answered before it counts
 * @throws the signal's reason, once the process is dead
 */
export async function runPocketsphinx(
  { program, acoustic, language, dictionary }: Pocketsphinx,
  { folder, name }: SpooledAudio,
  utterances: readonly SpeechSegment[],
  { signal, stallMs, onAnswer }: RunOptions,
): Promise<void> {
  signal.throwIfAborted();
  const options = {
    hmm: acoustic,
    lm: language,
    dict: dictionary,
    logfn: "/dev/null",
    adcin: "yes",
    adchdr: "0",
    remove_silence: "no",
    remove_noise: "no",
    cepdir: ".",
    cepext: ".pcm",
    ctl: "/dev/stdin",
    hyp: "/dev/stdout",
    ctm: "/dev/stdout",
  };
  const args = Object.entries(options).flatMap(([option, value]) => [`-${option}`, value]);
  // A process group of its own, so that all of the pipe can be killed at once.
  const child = spawn("/bin/sh", ["-c", PIPED, program, ...args], {
    cwd: folder,
    env: {},
    detached: true,
    stdio: ["pipe", "pipe", "ignore"],
  });
  const kill = () => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // It has just ended.
    }
  };

  let answered = 0;
  let fault: unknown;
  const fail = (error: unknown) => {
    fault ??= error;
    kill();
  };
  const reader = createAnswerReader((answer) => {
    if (answer.id !== idOf(answered)) throw new SyntaxError("PocketSphinx left an utterance out.");
    onAnswer(answered, answer);
    answered += 1;
  });
  const timer = setTimeout(() => {
    fail(new TranscriberError("transcriber_stalled", `No answer in ${stallMs} ms.`));
  }, stallMs);
  const abort = () => fail(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    await new Promise<void>((resolve) => {
      child.once("error", (error) => {
        fault ??= error;
        resolve();
      });
      child.once("close", () => resolve());
      child.stdout.setEncoding("utf8");
      child.stdout.on("data", (text: string) => {
        timer.refresh();
        attempt(() => reader.push(text));
      });
      child.stdout.once("end", () => {
        if (fault === undefined) attempt(() => reader.end());
      });
      child.stdin.on("error", () => undefined);
      child.stdin.end(utterances.map((utterance, at) => controlLine(name, utterance, at)).join(""));
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
  signal.throwIfAborted();
  if (fault === undefined && answered === utterances.length) return;
  if (fault instanceof TranscriberError) throw fault;
  throw new TranscriberError(
    "transcriber_crashed",
    fault instanceof Error
      ? `PocketSphinx failed: ${fault.message}`
      : `PocketSphinx ended after ${answered} of ${utterances.length} utterances.`,
  );

  function attempt(step: () => void): void {
    if (fault !== undefined) return;
    try {
      step();
    } catch (error) {
      fail(error);
    }
  }
}

const idOf = (at: number) => `u${at}`;

/** File, first frame, frame after the last (a hundred each second), id. */
function controlLine(name: string, { start_s, end_s }: SpeechSegment, at: number): string {
  return `${name} ${Math.round(start_s * 100)} ${Math.round(end_s * 100)} ${idOf(at)}\n`;
}
