import type { z } from "zod";
import { systemIdSource } from "../../shared/contracts/ids.ts";
import { findRegionByCode } from "../../shared/contracts/regions.ts";
import {
  CreatedWebhookEndpoint,
  CreateWebhookEndpoint,
  DeletedWebhookEndpoint,
  ListWebhookDeliveries,
  RotatedWebhookSecret,
  RotateWebhookSecret,
  UpdateWebhookEndpoint,
  WebhookDelivery,
  WebhookDeliveryId,
  WebhookDeliveryList,
  WebhookEndpoint,
  WebhookEndpointId,
  WebhookEndpointList,
} from "../../shared/contracts/webhooks.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { toHex } from "../../shared/signing/bytes.ts";
import { parseJson, readJsonText, readOptionalJsonText } from "../admit/read-body.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import { tryRegions } from "../forward/try-regions.ts";
import type { EdgeServices } from "../services.ts";
import { json } from "./answer.ts";

/** Control writes go to the primary, and wait there until a replica has them. */
const WRITE_TIMEOUT_MS = 10_000;
const READ_TIMEOUT_MS = 5_000;

const mint = (kind: "whe" | "whs") => `${kind}_${toHex(systemIdSource.randomBytes(12))}`;
/** The secret of an endpoint that is made; a request that is resumed thus gets what the first one made. */
const firstSecretOf = (endpointId: string) => `whs${endpointId.slice(3)}`;

/** The calls about webhooks. Any region takes them to the database; what is sent again is sent where it was sent from. */
export function webhookCalls({ router, callRegion, once }: EdgeServices) {
  function ask<T extends z.ZodType>(
    c: EdgeContext,
    name: string,
    body: object,
    answer: T,
    timeoutMs = READ_TIMEOUT_MS,
    regions = router.nearest(c.req.raw),
  ): Promise<z.output<T>> {
    return tryRegions(callRegion, regions, {
      method: "POST",
      target: `/internal/webhooks/${name}`,
      body: { tenant_id: c.get("caller").key.tenant_id, ...body },
      answer,
      timeoutMs,
      trace: traceOf(c),
    });
  }

  function endpointId(c: EdgeContext): string {
    const id = WebhookEndpointId.safeParse(c.req.param("id"));
    if (!id.success) throw new ApiError("not_found", "There is no such webhook endpoint.");
    return id.data;
  }

  function deliveryId(c: EdgeContext): string {
    const id = WebhookDeliveryId.safeParse(c.req.param("id"));
    if (!id.success) throw new ApiError("not_found", "There is no such delivery.");
    return id.data;
  }

  async function createEndpoint(c: EdgeContext): Promise<Response> {
    const body = await readJsonText(c.req.raw);
    const wanted = parseRequest(CreateWebhookEndpoint, parseJson(body));
    return once(c, { body, mintId: () => mint("whe"), secret: true }, async (id) => {
      const order = { ...wanted, endpoint_id: id, secret_id: firstSecretOf(id) };
      const made = await ask(
        c,
        "endpoints/create",
        order,
        CreatedWebhookEndpoint,
        WRITE_TIMEOUT_MS,
      );
      return json(made, 201);
    });
  }

  async function listEndpoints(c: EdgeContext): Promise<Response> {
    return json(await ask(c, "endpoints/list", {}, WebhookEndpointList));
  }

  async function getEndpoint(c: EdgeContext): Promise<Response> {
    const endpoint_id = endpointId(c);
    return json(await ask(c, "endpoints/find", { endpoint_id }, WebhookEndpoint));
  }

  async function updateEndpoint(c: EdgeContext): Promise<Response> {
    const endpoint_id = endpointId(c);
    const wanted = parseRequest(UpdateWebhookEndpoint, parseJson(await readJsonText(c.req.raw)));
    const order = { ...wanted, endpoint_id };
    return json(await ask(c, "endpoints/change", order, WebhookEndpoint, WRITE_TIMEOUT_MS));
  }

  async function deleteEndpoint(c: EdgeContext): Promise<Response> {
    const order = { endpoint_id: endpointId(c) };
    return json(await ask(c, "endpoints/delete", order, DeletedWebhookEndpoint, WRITE_TIMEOUT_MS));
  }

  async function rotate(c: EdgeContext, ofEndpoint: object): Promise<Response> {
    const body = await readOptionalJsonText(c.req.raw);
    const wanted = parseRequest(RotateWebhookSecret, parseJson(body));
    return once(c, { body, mintId: () => mint("whs"), secret: true }, async (secret_id) => {
      const order = { ...wanted, ...ofEndpoint, secret_id };
      return json(await ask(c, "secrets/rotate", order, RotatedWebhookSecret, WRITE_TIMEOUT_MS));
    });
  }

  const rotateEndpoint = (c: EdgeContext) => rotate(c, { endpoint_id: endpointId(c) });
  const rotateTenant = (c: EdgeContext) => rotate(c, {});

  async function listDeliveries(c: EdgeContext): Promise<Response> {
    const query = parseRequest(ListWebhookDeliveries, c.req.query());
    return json(await ask(c, "deliveries/list", query, WebhookDeliveryList));
  }

  async function getDelivery(c: EdgeContext): Promise<Response> {
    const delivery_id = deliveryId(c);
    return json(await ask(c, "deliveries/find", { delivery_id }, WebhookDelivery));
  }

  async function redeliver(c: EdgeContext): Promise<Response> {
    const delivery_id = deliveryId(c);
    const { residency } = c.get("caller").key;
    const home = findRegionByCode(delivery_id.slice(4, 7))?.id;
    const regions = router.candidates({ request: c.req.raw, residency, home });
    return once(c, { body: delivery_id, mintId: () => delivery_id }, async () =>
      json(
        await ask(
          c,
          "deliveries/redeliver",
          { delivery_id },
          WebhookDelivery,
          READ_TIMEOUT_MS,
          regions,
        ),
        202,
      ),
    );
  }

  return {
    createEndpoint,
    listEndpoints,
    getEndpoint,
    updateEndpoint,
    deleteEndpoint,
    rotateEndpoint,
    rotateTenant,
    listDeliveries,
    getDelivery,
    redeliver,
  };
}
