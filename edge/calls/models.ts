import { ModelList } from "../../shared/contracts/models.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { json } from "./answer.ts";

const TIMEOUT_MS = 5000;

/** What runs in the region that would be asked first: `GET /v1/models`, and `GET /v1/models/{id}` of one. */
export function modelCalls({ router, readRegions }: EdgeServices) {
  function read(c: EdgeContext): Promise<ModelList> {
    const { residency } = c.get("caller").key;
    const candidates = router.candidates({ request: c.req.raw, residency });
    return readRegions(candidates, {
      method: "GET",
      target: "/internal/models",
      answer: ModelList,
      timeoutMs: TIMEOUT_MS,
      trace: traceOf(c),
    });
  }

  const list = async (c: EdgeContext): Promise<Response> => json(await read(c));

  /** @throws ApiError model_not_found */
  async function get(c: EdgeContext): Promise<Response> {
    const id = c.req.param("id");
    const model = (await read(c)).data.find((each) => each.id === id);
    if (!model) throw new ApiError("model_not_found");
    return json(model);
  }

  return { list, get };
}
