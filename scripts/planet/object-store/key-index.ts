/** The keys of a bucket in S3's listing order (UTF-8 bytes). */
export interface KeyIndex {
  add: (key: string) => void;
  remove: (key: string) => void;
  /** Key at a position; undefined past the end. */
  at: (position: number) => string | undefined;
  /** Position of the first key that is not before `key`. */
  seek: (key: string) => number;
  /** Position of the first key after all that begin with `prefix`. */
  seekPast: (prefix: string) => number;
}

/** Builds an index over keys in any order. */
export function createKeyIndex(initial: Iterable<string> = []): KeyIndex {
  const keys = [...initial].sort(compareUtf8);

  function firstWhere(holds: (key: string) => boolean): number {
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (holds(keys[middle] as string)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
  const seek = (key: string) => firstWhere((candidate) => compareUtf8(candidate, key) >= 0);

  return {
    add: (key) => {
      const position = seek(key);
      if (keys[position] !== key) keys.splice(position, 0, key);
    },
    remove: (key) => {
      const position = seek(key);
      if (keys[position] === key) keys.splice(position, 1);
    },
    at: (position) => keys[position],
    seek,
    seekPast: (prefix) =>
      firstWhere((key) => compareUtf8(key, prefix) > 0 && !key.startsWith(prefix)),
  };
}

function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
