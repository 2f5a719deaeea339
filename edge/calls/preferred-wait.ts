/** Seconds of `Prefer: wait=N` (RFC 7240), `most` at most; undefined where nothing is preferred. */
export function preferredWait(header: string | undefined, most: number): number | undefined {
  const seconds = /(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])/i.exec(header ?? "")?.[1];
  return seconds === undefined ? undefined : Math.min(Number(seconds), most);
}
