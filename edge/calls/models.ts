import { ModelList } from "../../shared/contracts/models.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { json } from "./answer.ts";

const TIMEOUT_MS = 5000;

/** `GET /v1/models`: what runs in the region that would be asked first. */
export function listModels({ router, readRegions }: EdgeServices) {
  return async (c: EdgeContext): Promise<Response> => {
    const { residency } = c.get("caller").key;
    const candidates = router.candidates({ request: c.req.raw, residency });
    return json(
      await readRegions(candidates, {
        method: "GET",
        target: "/internal/models",
        answer: ModelList,
        timeoutMs: TIMEOUT_MS,
        trace: traceOf(c),
      }),
    );
  };
}
