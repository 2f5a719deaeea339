/** What one check found. `details` is shown when it failed; `summary` is one short line either way. */
export interface Finding {
  ok: boolean;
  summary: string;
  details?: string;
}

/** What a check is given: the tree it judges, whether it may repair what it can, and a signal that ends it. */
export interface CheckContext {
  root: string;
  write: boolean;
  signal: AbortSignal;
}

/** One part of `npm run check`. */
export interface Check {
  name: string;
  title: string;
  run: (context: CheckContext) => Promise<Finding>;
}
