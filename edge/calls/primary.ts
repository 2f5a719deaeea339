import { PrimaryReport, PromoteRegion } from "../../shared/contracts/primary.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { parseJson, readJsonText } from "../admit/read-body.ts";
import { createReadRegionRequest } from "../admit/region-request.ts";
import type { EdgeContext } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { json } from "./answer.ts";

/** The lease of the Postgres primary: keepers report and are told what to do; an operator looks, and hands it over. */
export function primaryCalls({ config, primary }: EdgeServices) {
  const readRegionRequest = createReadRegionRequest(config);

  /** `POST /internal/primary` */
  async function report(c: EdgeContext): Promise<Response> {
    const { region, body } = await readRegionRequest(c);
    return json(await primary.report(region, parseRequest(PrimaryReport, body)));
  }

  /** `GET /v1/admin/primary` */
  async function status(_: EdgeContext): Promise<Response> {
    return json(await primary.status());
  }

  /** `POST /v1/admin/primary`: asks for it; the keepers do it within seconds, and `GET` shows how far they are. */
  async function promote(c: EdgeContext): Promise<Response> {
    const { region } = parseRequest(PromoteRegion, parseJson(await readJsonText(c.req.raw)));
    if (!config.regions.some(({ id }) => id === region)) {
      throw new ApiError("invalid_request", "Some fields are not valid.", {
        errors: [{ path: "region", message: "is no region of this deployment" }],
      });
    }
    return json(await primary.handOver(region), 202);
  }

  return { report, status, promote };
}
