import type { DeadLetter, DeadLetters } from "./queue-port.ts";
import { MOST_MESSAGES, type SqsCalls } from "./sqs-calls.ts";
import { messageText, readLetter } from "./sqs-message.ts";

const PAGE = 50;
/** Letters that one look sees at most. */
const MOST_LETTERS = 1000;
/** For so long a look has the letters that it saw; who looks meanwhile does not see them. */
const HIDE_S = 60;
/** SQS may say that there is nothing when there is: only so many empty answers in a row count. */
const EMPTY_ANSWERS = 2;

interface Seen {
  letter: DeadLetter;
  /** More than one after a crash between writing a letter anew and removing the old one. */
  handles: string[];
}

/** Ids sort by time; the epoch makes them unique. */
export function letterId({ at, jobId, epoch }: Omit<DeadLetter, "id">): string {
  return `${Date.parse(at)}-${jobId}-${epoch.dispatch}-${epoch.attempt}`;
}

/**
 * Dead letters in a queue of their own. SQS can neither read nor change a message without taking it: each call takes all letters, up to
 * a thousand, does its work, and lets go of what is left.
 */
export function createSqsDeadLetters(calls: SqsCalls): DeadLetters {
  async function withAll<T>(work: (seen: Map<string, Seen>) => Promise<T>): Promise<T> {
    const seen = new Map<string, Seen>();
    const handles: string[] = [];
    try {
      let empty = 0;
      while (empty < EMPTY_ANSWERS && handles.length < MOST_LETTERS) {
        const messages = await calls.receive("dead", MOST_MESSAGES, HIDE_S);
        empty = messages.length === 0 ? empty + 1 : 0;
        for (const { body, handle } of messages) {
          handles.push(handle);
          const letter = readLetter(body);
          if (!letter) continue;
          const twin = seen.get(letter.id);
          seen.set(letter.id, {
            letter: twin?.letter.replayedAs === undefined ? letter : twin.letter,
            handles: [...(twin?.handles ?? []), handle],
          });
        }
      }
      return await work(seen);
    } finally {
      // What was removed meanwhile says so, and that is fine; what stays hidden comes back by itself.
      for (let from = 0; from < handles.length; from += MOST_MESSAGES) {
        const some = handles.slice(from, from + MOST_MESSAGES);
        await calls.hide("dead", some, 0).catch(() => undefined);
      }
    }
  }
  const remove = ({ handles }: Seen) =>
    Promise.all(handles.map((handle) => calls.remove("dead", handle)));

  return {
    list: ({ after = "", limit = PAGE } = {}) =>
      withAll(async (seen) => {
        const ids = [...seen.keys()].filter((id) => id > after).toSorted();
        const data = ids.slice(0, limit).map((id) => seen.get(id)!.letter);
        return ids.length > limit ? { data, next: data.at(-1)!.id } : { data };
      }),
    get: (id) => withAll(async (seen) => seen.get(id)?.letter),
    markReplayed: (id, newJobId) =>
      withAll(async (seen) => {
        const found = seen.get(id);
        if (!found || found.letter.replayedAs !== undefined) return found?.letter.replayedAs;
        await calls.send("dead", messageText({ ...found.letter, replayedAs: newJobId }));
        await remove(found);
        return newJobId;
      }),
    discard: (ids) =>
      withAll(async (seen) => {
        const known = [...seen.values()].filter(
          ({ letter }) => ids === "all" || ids.includes(letter.id),
        );
        for (const letter of known) await remove(letter);
        return known.length;
      }),
  };
}
