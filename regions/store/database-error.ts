import { ApiError } from "../../shared/errors/problem.ts";

const AWAY = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "CONNECT_NO_PRIMARY",
  "CONNECT_TIMEOUT",
  "CONNECTION_CLOSED",
  "CONNECTION_DESTROYED",
  "CONNECTION_ENDED",
  "NO_ANSWER",
  // Statement timeout, too many connections, read-only (a primary that was demoted), conflict with recovery.
  "57014",
  "53300",
  "25006",
  "40001",
  // Shut down by an operator, crashed, still starting.
  "57P01",
  "57P02",
  "57P03",
]);

/**
 * What remains of a driver's error once it leaves the store: codes. The driver's own messages and details quote
 * parameters and rows, which have no place in a log.
 */
export class DatabaseError extends Error {
  readonly code: string;

  constructor(error: unknown) {
    const known = findCoded(error);
    const { code, constraint_name: constraint, routine } = known ?? { code: "unknown" };
    super(
      ["the database said", code, constraint, routine]
        .filter((part) => typeof part === "string")
        .join(" "),
    );
    this.name = "DatabaseError";
    this.code = String(code);
  }
}

/** What Postgres or the socket called the error; drizzle wraps it. */
export function databaseErrorCode(error: unknown): string | undefined {
  return findCoded(error)?.code;
}

/** Whether the database is away, as opposed to having refused a statement. */
export function isDatabaseAway(error: unknown): boolean {
  const code = databaseErrorCode(error);
  return code !== undefined && (AWAY.has(code) || code.startsWith("08"));
}

/** Whether a row came for a month that has no partition: code 23514 too, as a check that a row breaks. */
export function isPartitionMissing(error: unknown): boolean {
  const known = findCoded(error);
  return known?.code === "23514" && known.routine === "ExecFindPartition";
}

/** Whether the rows themselves were refused (bad data, broken constraint), so that sending them again is in vain. */
export function isBadRow(error: unknown): boolean {
  return /^(21|22|23)/.test(databaseErrorCode(error) ?? "");
}

/**
 * Runs `work`.
 * @throws ApiError dependency_unavailable while the database is away, or has no schema yet
 * @throws DatabaseError when it refuses
 */
export async function orUnavailable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isDatabaseAway(error) || databaseErrorCode(error) === "42P01") {
      throw new ApiError("dependency_unavailable", "The database is away.", {
        cause: new DatabaseError(error),
      });
    }
    throw findCoded(error) ? new DatabaseError(error) : error;
  }
}

type Coded = Error & { code: string; constraint_name?: string; routine?: string };

function findCoded(error: unknown): Coded | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (at instanceof ApiError) return undefined;
    if ("code" in at && typeof at.code === "string") return at as Coded;
  }
  return undefined;
}
