import type { DeadLetter, DeadLetters } from "./queue-port.ts";

export interface InMemoryDeadLetters extends DeadLetters {
  add(letter: Omit<DeadLetter, "id" | "replayedAs">): void;
  count(): number;
}

/** The dead letters of a queue within one process. */
export function createInMemoryDeadLetters(): InMemoryDeadLetters {
  const letters = new Map<string, DeadLetter>();
  let last = 0;
  return {
    add(letter) {
      const id = `${++last}-0`;
      letters.set(id, { id, ...structuredClone(letter) });
    },
    count: () => letters.size,
    async list({ after, limit = 50 } = {}) {
      const all = [...letters.values()];
      const from = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
      const data = structuredClone(all.slice(from, from + limit));
      return from + limit < all.length ? { data, next: data.at(-1)!.id } : { data };
    },
    async get(id) {
      return structuredClone(letters.get(id));
    },
    async markReplayed(id, newJobId) {
      const letter = letters.get(id);
      if (letter) letter.replayedAs ??= newJobId;
      return letter?.replayedAs;
    },
    async discard(ids) {
      const known = ids === "all" ? [...letters.keys()] : ids;
      return known.filter((id) => letters.delete(id)).length;
    },
  };
}
