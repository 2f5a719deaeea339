import { patience } from "./download-file.ts";
import type { Patience } from "./download-file.ts";
import { PullError, Trouble } from "./pull-error.ts";
import { refusal } from "./refusal.ts";
import { request, toTrouble } from "./request.ts";

export interface FetchOptions {
  token?: string | undefined;
  signal: AbortSignal;
  patience?: Patience;
  onTrouble?(message: string, waitMs: number): void;
}

/**
 * Fetches something small into memory; never more than `limit` bytes of it.
 *
 * @throws {PullError}
 * @throws the signal's reason
 */
export async function fetchSmall(url: URL, limit: number, options: FetchOptions): Promise<Buffer> {
  const { signal, patience: limits = patience, onTrouble } = options;
  for (let failures = 1; ; failures += 1) {
    signal.throwIfAborted();
    try {
      return await fetchOnce(url, limit, options);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Trouble)) throw error;
      if (error.unreachable) throw new PullError(`${error.message}.`, { unreachable: true });
      if (failures >= limits.attempts) {
        throw new PullError(`${error.message}, ${failures} times.`);
      }
      const waitMs = error.retryAfterMs ?? limits.backoffMs * 2 ** (failures - 1);
      if (waitMs > limits.longestWaitMs) {
        throw new PullError(
          `${error.message}, and asks to wait ${Math.ceil(waitMs / 60_000)} minutes.`,
        );
      }
      onTrouble?.(error.message, waitMs);
      await limits.wait(waitMs, signal);
    }
  }
}

async function fetchOnce(url: URL, limit: number, options: FetchOptions): Promise<Buffer> {
  const { token, signal, patience: limits = patience } = options;
  const idle = new AbortController();
  const silent = new Trouble(`${url.host} said nothing for ${Math.round(limits.idleMs / 1000)} s`);
  const timer = setTimeout(() => idle.abort(silent), limits.idleMs);
  try {
    const response = await request(url, {
      headers: { "accept-encoding": "identity" },
      token,
      signal: AbortSignal.any([signal, idle.signal]),
    });
    try {
      if (response.status !== 200) throw refusal(response, url, token);
      const parts: Uint8Array[] = [];
      let bytes = 0;
      for await (const part of response.body ?? []) {
        bytes += part.length;
        if (bytes > limit) {
          throw new PullError(`${url.host}${url.pathname} has more than ${limit} bytes.`);
        }
        parts.push(part);
        timer.refresh();
      }
      return Buffer.concat(parts);
    } finally {
      await response.body?.cancel().catch(() => undefined);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (idle.signal.aborted) throw silent;
    throw error instanceof PullError || error instanceof Trouble ? error : toTrouble(error, url);
  } finally {
    clearTimeout(timer);
  }
}
