/** Why a model cannot be fetched: what happened and, where there is one, the way out. Trying again at once would not help. */
export class PullError extends Error {
  override readonly name = "PullError";
  /** No server was reached at all. */
  readonly unreachable: boolean;
  constructor(message: string, options: { unreachable?: boolean } = {}) {
    super(message);
    this.unreachable = options.unreachable ?? false;
  }
}

/** What went wrong on the way and may go right the next time. */
export class Trouble extends Error {
  override readonly name = "Trouble";
  /** The hub asked to be left alone for so long. */
  readonly retryAfterMs: number | undefined;
  /** No server was reached. */
  readonly unreachable: boolean;
  constructor(message: string, options: { retryAfterMs?: number; unreachable?: boolean } = {}) {
    super(message);
    this.retryAfterMs = options.retryAfterMs;
    this.unreachable = options.unreachable ?? false;
  }
}
