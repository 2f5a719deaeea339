import { z } from "zod";
import { DatabaseRole, WalPosition } from "../../shared/contracts/primary.ts";
import type { DatabaseControl } from "./database-control.ts";

const Status = z.object({
  role: DatabaseRole,
  position: WalPosition.nullable(),
  follows: z.string().nullable(),
  at: z.number().optional(),
});

/** Building a replica anew copies the whole database. */
const STEP_MS = 15 * 60_000;
/** For what the agent answers at once. */
const WORD_MS = 1_500;

/** The agent that runs a region's Postgres, over HTTP: `GET /status`, `POST /permit|stop|start|promote|follow`, with a bearer token. */
export function createAgentControl({
  url,
  token,
}: {
  url: string;
  token: string;
}): DatabaseControl {
  const base = url.replace(/\/+$/, "");

  async function ask(
    method: "GET" | "POST",
    path: string,
    body: object | undefined,
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<unknown> {
    const response = await fetch(base + path, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: "error",
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    const answer: unknown = await response.json();
    if (response.ok) return answer;
    throw new Error(`the database's agent answered ${response.status} to ${path}`);
  }
  const step = async (path: string, signal: AbortSignal, body = {}, ms = STEP_MS) => {
    await ask("POST", path, body, signal, ms);
  };

  return {
    status: async (signal) => Status.parse(await ask("GET", "/status", undefined, signal, WORD_MS)),
    permit: (until, signal) => step("/permit", signal, { until }, WORD_MS),
    stop: (signal) => step("/stop", signal),
    start: (signal) => step("/start", signal),
    promote: (signal) => step("/promote", signal),
    follow: (region, signal) => step("/follow", signal, { region }),
  };
}
