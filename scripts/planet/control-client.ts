import { resolve } from "node:path";
import { z } from "zod";
import { planetHolder } from "./planet-lock.ts";
import { readState } from "./planet-state.ts";

const Refusal = z.object({ detail: z.string() });

/** Thrown when there is nobody to talk to; the message is for people. */
export class NoPlanet extends Error {}

/**
 * Sends a request to the control server of the planet that runs in a folder.
 * @throws NoPlanet when none runs there; Error with the server's words when it refuses
 */
export async function askPlanet(
  stateDir: string,
  method: "GET" | "POST",
  path: string,
  body?: unknown,
): Promise<unknown> {
  const state = await readState(stateDir);
  const port = state?.ports["control"];
  if (state === undefined || planetHolder(stateDir) === undefined) {
    throw new NoPlanet(`no planet runs in ${resolve(stateDir)}: start one with \`npm start\``);
  }
  if (port === undefined) throw new NoPlanet("the planet is still starting");
  let response: Response;
  try {
    response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${state.controlToken}`,
        "content-type": "application/json",
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (cause) {
    throw new NoPlanet("the planet is still starting, or is stopping", { cause });
  }
  const answer: unknown = await response.json();
  if (response.ok) return answer;
  const refusal = Refusal.safeParse(answer);
  throw new Error(refusal.success ? refusal.data.detail : `the planet answered ${response.status}`);
}
