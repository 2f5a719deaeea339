import { Hono, type Context } from "hono";
import type { z } from "zod";
import { readId } from "../../shared/contracts/ids.ts";
import {
  ChangeWebhookEndpoint,
  CreatedWebhookEndpoint,
  DeletedWebhookEndpoint,
  FindWebhookDeliveries,
  OneTenant,
  OneWebhookDelivery,
  OneWebhookEndpoint,
  RotatedWebhookSecret,
  RotateSecretOf,
  StoreWebhookEndpoint,
  WebhookDelivery,
  WebhookDeliveryList,
  WebhookEndpoint,
  WebhookEndpointList,
} from "../../shared/contracts/webhooks.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import {
  toDelivery,
  type DeliveryRow,
  type WebhookDeliveries,
} from "../store/webhook-deliveries.ts";
import type { WebhookEndpoints } from "../store/webhook-endpoints.ts";
import { actorOf } from "./actor-of.ts";
import type { ApiEnv } from "./api-context.ts";
import { parseBody } from "./parse-body.ts";

export interface WebhookRoutesParts {
  webhooks: {
    endpoints: Pick<
      WebhookEndpoints,
      "store" | "list" | "find" | "change" | "remove" | "rotate" | "tenantSecrets" | "subscriptions"
    >;
    deliveries: Pick<WebhookDeliveries, "list" | "find">;
    /** What is wrong with a URL as a target; undefined: nothing. */
    urlFault(url: string): string | undefined;
    /** A delivery that can be sent again; undefined when there is none. */
    redeliver(
      tenantId: string,
      id: string,
    ): Promise<{ endpointId: string | null; begin(): Promise<DeliveryRow> } | undefined>;
  };
}

const call = (c: Context<ApiEnv>) => ({ signal: c.req.raw.signal });

/** `/internal/webhooks`. Who may do this was decided at the edge, which names the tenant in each body. */
export function createWebhookRoutes({ webhooks }: WebhookRoutesParts): Hono<ApiEnv> {
  const { endpoints, deliveries, urlFault, redeliver } = webhooks;

  function checkUrl(url: string | undefined): void {
    const fault = url === undefined ? undefined : urlFault(url);
    if (fault === undefined) return;
    throw new ApiError("invalid_request", "Webhooks cannot be sent there.", {
      errors: [{ path: "url", message: fault }],
    });
  }

  /** A body, answered by what `work` makes of it, as its schema has it. */
  const answering =
    <B extends z.ZodType, A extends z.ZodType>(
      body: B,
      answer: A,
      work: (wanted: z.output<B>, c: Context<ApiEnv>) => Promise<z.input<A>>,
    ) =>
    async (c: Context<ApiEnv>) =>
      c.json(answer.parse(await work(parseBody(c, body), c)) as object);

  const noDelivery = () => new ApiError("not_found", "There is no such delivery.");
  const whole = (row: DeliveryRow) =>
    toDelivery(row, new Date(readId(row.job_id)?.createdAtMs ?? 0));

  return new Hono<ApiEnv>()
    .post(
      "/internal/webhooks/endpoints/create",
      answering(StoreWebhookEndpoint, CreatedWebhookEndpoint, (wanted, c) => {
        checkUrl(wanted.url);
        return endpoints.store(wanted, actorOf(c), call(c));
      }),
    )
    .post(
      "/internal/webhooks/endpoints/list",
      answering(OneTenant, WebhookEndpointList, async ({ tenant_id }) => ({
        data: await endpoints.list(tenant_id),
        next_cursor: null,
      })),
    )
    .post(
      "/internal/webhooks/endpoints/find",
      answering(OneWebhookEndpoint, WebhookEndpoint, ({ tenant_id, endpoint_id }) =>
        endpoints.find(tenant_id, endpoint_id),
      ),
    )
    .post(
      "/internal/webhooks/endpoints/change",
      answering(ChangeWebhookEndpoint, WebhookEndpoint, (wanted, c) => {
        checkUrl(wanted.url);
        return endpoints.change(wanted, actorOf(c), call(c));
      }),
    )
    .post(
      "/internal/webhooks/endpoints/delete",
      answering(OneWebhookEndpoint, DeletedWebhookEndpoint, async (wanted, c) => {
        await endpoints.remove(wanted.tenant_id, wanted.endpoint_id, actorOf(c), call(c));
        return { id: wanted.endpoint_id, deleted: true as const };
      }),
    )
    .post(
      "/internal/webhooks/secrets/rotate",
      answering(RotateSecretOf, RotatedWebhookSecret, (wanted, c) =>
        endpoints.rotate(wanted, actorOf(c), call(c)),
      ),
    )
    .post(
      "/internal/webhooks/deliveries/list",
      answering(FindWebhookDeliveries, WebhookDeliveryList, (wanted) => deliveries.list(wanted)),
    )
    .post(
      "/internal/webhooks/deliveries/find",
      answering(OneWebhookDelivery, WebhookDelivery, async ({ tenant_id, delivery_id }) => {
        const row = await deliveries.find(tenant_id, delivery_id);
        if (!row) throw noDelivery();
        return whole(row);
      }),
    )
    .post(
      "/internal/webhooks/deliveries/redeliver",
      answering(OneWebhookDelivery, WebhookDelivery, async ({ tenant_id, delivery_id }) => {
        const found = await redeliver(tenant_id, delivery_id);
        if (!found) throw noDelivery();
        if (found.endpointId !== null) {
          const { status } = await endpoints.find(tenant_id, found.endpointId);
          if (status !== "active") {
            throw new ApiError("webhook_endpoint_stopped", `The endpoint is ${status}.`);
          }
        }
        return whole(await found.begin());
      }),
    );
}

/**
 * Refuses a job whose webhook could never be sent: an address that may not be called, or no secret to sign with. While the
 * database is away a job is taken all the same, and its webhook waits.
 * @throws ApiError invalid_request | webhook_secret_missing
 */
export function createCheckJobWebhook({ endpoints, urlFault }: WebhookRoutesParts["webhooks"]) {
  return async (tenantId: string, url: string): Promise<void> => {
    const fault = urlFault(url);
    if (fault !== undefined) {
      throw new ApiError("invalid_request", "The webhook cannot be sent there.", {
        errors: [{ path: "webhook_url", message: fault }],
      });
    }
    const secrets = await endpoints.tenantSecrets(tenantId).catch((error: unknown) => {
      if (error instanceof ApiError && error.code === "dependency_unavailable") return undefined;
      throw error;
    });
    if (secrets?.length === 0) throw new ApiError("webhook_secret_missing");
  };
}

/**
 * Whether a tenant whose results go out by webhook alone has an endpoint that they can go to. What the database does not say cannot be
 * taken for granted here.
 * @throws ApiError invalid_request | dependency_unavailable
 */
export function createCheckTarget({ endpoints }: WebhookRoutesParts["webhooks"]) {
  return async (tenantId: string): Promise<void> => {
    const all = await endpoints.subscriptions([tenantId]);
    if (all.some(({ events }) => events.includes("job.succeeded"))) return;
    throw new ApiError("invalid_request", "The result could not be sent anywhere.", {
      errors: [
        {
          path: "webhook_url",
          message:
            "is missing: this tenant's results are not kept, and no endpoint of it takes `job.succeeded`",
        },
      ],
    });
  };
}
