import type { KeyIndex } from "./key-index.ts";

/** Where a page ended: at a key, or after all keys of a common prefix. */
type ListPosition = { key: string } | { prefix: string };

interface ListOptions {
  prefix: string;
  /** Empty for none. */
  delimiter: string;
  maxKeys: number;
  after: ListPosition;
}

interface ListPage {
  keys: string[];
  prefixes: string[];
  /** Where the next page goes on; undefined on the last. */
  next: ListPosition | undefined;
}

/** One page of a bucket's keys, with those that share a part up to the delimiter rolled into one prefix. */
export function listKeys(
  index: KeyIndex,
  { prefix, delimiter, maxKeys, after }: ListOptions,
): ListPage {
  const page: ListPage = { keys: [], prefixes: [], next: undefined };
  if (maxKeys === 0) return page;
  let position = Math.max(index.seek(prefix), positionAfter(index, after));
  let last: ListPosition | undefined;
  for (;;) {
    const key = index.at(position);
    if (key === undefined || !key.startsWith(prefix)) return page;
    if (page.keys.length + page.prefixes.length >= maxKeys) return { ...page, next: last };
    const cut = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
    if (cut < 0) {
      page.keys.push(key);
      last = { key };
      position += 1;
    } else {
      const common = key.slice(0, cut + delimiter.length);
      page.prefixes.push(common);
      last = { prefix: common };
      position = index.seekPast(common);
    }
  }
}

function positionAfter(index: KeyIndex, after: ListPosition): number {
  if ("prefix" in after) return index.seekPast(after.prefix);
  const position = index.seek(after.key);
  return index.at(position) === after.key ? position + 1 : position;
}
