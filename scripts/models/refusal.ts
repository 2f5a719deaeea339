import { PullError, Trouble } from "./pull-error.ts";

/** What an answer that brings nothing means: `Trouble` when it may be another one later, else `PullError` with the way out. */
export function refusal(
  { status, headers }: Response,
  url: URL,
  token: string | undefined,
): PullError | Trouble {
  const what = `${url.host} answers ${status}`;
  if (status === 404 || status === 410) {
    return new PullError(`${what}: there is no ${url.pathname}. Is the manifest right?`);
  }
  if (status === 401 || status === 403) {
    return new PullError(
      token === undefined
        ? `${what}: ${url.pathname} is not for everybody. Accept the model's terms at the hub, then set HF_TOKEN.`
        : `${what}: HF_TOKEN does not open ${url.pathname}. Were the model's terms accepted at the hub?`,
    );
  }
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    const retryAfterMs = readRetryAfter(headers.get("retry-after"));
    return new Trouble(what, retryAfterMs === undefined ? {} : { retryAfterMs });
  }
  return new PullError(`${what} to the request for ${url.pathname}.`);
}

/** Seconds or a date, as ms from now. */
function readRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
