import type { Problem } from "../errors/problem.ts";

/** An answer of the API that is not a success; `problem` is the RFC 9457 body. */
export class AntiphonError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(`${problem.title}: ${problem.detail}`);
    this.name = "AntiphonError";
    this.problem = problem;
  }
}

/** The API could not be reached, or answered something that is not its own. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}
