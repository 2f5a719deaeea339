import { WebhookEventType, type WebhookDelivery } from "../../shared/contracts/webhooks.ts";
import { connect, UsageError, type ConnectionOptions } from "./connection.ts";

export const WEBHOOK_ACTS = [
  "list",
  "create",
  "delete",
  "pause",
  "resume",
  "rotate",
  "deliveries",
  "redeliver",
] as const;

export interface WebhooksOptions extends ConnectionOptions {
  json?: boolean;
  /** Comma-separated. */
  events?: string;
  includeResult?: boolean;
  /** Seconds. */
  overlap?: string;
  /** Of `rotate`: the tenant's own secret, and no endpoint's. */
  tenantSecret?: boolean;
}

/** Endpoints of webhooks and what was sent to them. Resolves to the exit code. */
export async function webhooks(
  act: (typeof WEBHOOK_ACTS)[number],
  subject: string | undefined,
  options: WebhooksOptions,
): Promise<number> {
  const { webhooks: calls } = await connect(options);
  const print = (value: unknown, lines: readonly string[]) =>
    process.stdout.write(`${options.json ? JSON.stringify(value, null, 2) : lines.join("\n")}\n`);
  const needed = (what: string): string => {
    if (subject === undefined) throw new UsageError(`webhooks ${act} needs ${what}`);
    return subject;
  };
  const changeStatus = async (status: "active" | "paused") => {
    const changed = await calls.update(needed("an endpoint's id"), { status });
    print(changed, [`${changed.id} is ${changed.status}`]);
  };

  switch (act) {
    case "create": {
      const made = await calls.create({
        url: needed("a URL"),
        ...(options.events ? { events: readEvents(options.events) } : {}),
        ...(options.includeResult ? { include_result: true } : {}),
      });
      print(made, [made.id, `secret (shown once): ${made.secret}`]);
      break;
    }
    case "delete": {
      const gone = await calls.delete(needed("an endpoint's id"));
      print(gone, [`${gone.id} is deleted`]);
      break;
    }
    case "pause":
      await changeStatus("paused");
      break;
    case "resume":
      await changeStatus("active");
      break;
    case "rotate": {
      const target = options.tenantSecret
        ? undefined
        : needed("an endpoint's id, or --tenant-secret");
      if (options.tenantSecret && subject !== undefined) {
        throw new UsageError("webhooks rotate takes an endpoint's id or --tenant-secret, not both");
      }
      const overlap_s = options.overlap === undefined ? undefined : Number(options.overlap);
      const rotated = await calls.rotate(target, overlap_s === undefined ? {} : { overlap_s });
      print(rotated, [
        `secret (shown once): ${rotated.secret}`,
        `those before it sign until ${rotated.previous_expire_at}`,
      ]);
      break;
    }
    case "deliveries": {
      const found = await calls.deliveries(
        subject === undefined
          ? {}
          : subject.startsWith("job_")
            ? { job_id: subject }
            : { endpoint_id: subject },
      );
      print(found, found.data.length === 0 ? ["no deliveries yet"] : found.data.map(lineOf));
      break;
    }
    case "redeliver": {
      const again = await calls.redeliver(needed("a delivery's id"));
      print(again, [lineOf(again)]);
      break;
    }
    default: {
      const list = await calls.list();
      const lines = list.data.map(({ id, status, events, url, status_reason }) =>
        [id, status.padEnd(8), events.join(","), url, status_reason ?? ""].join("  ").trimEnd(),
      );
      print(list, lines.length === 0 ? ["no webhook endpoints yet"] : lines);
    }
  }
  return 0;
}

function readEvents(list: string) {
  return list.split(",").map((event) => {
    const parsed = WebhookEventType.safeParse(event.trim());
    if (parsed.success) return parsed.data;
    throw new UsageError(
      `no such event: ${event} (there are ${WebhookEventType.options.join(", ")})`,
    );
  });
}

function lineOf({ id, status, event, job_id, attempts, response_status, error }: WebhookDelivery) {
  const answer = response_status === null ? (error ?? "") : `HTTP ${response_status}`;
  return [id, status.padEnd(9), event, job_id, `${attempts} tries`, answer].join("  ").trimEnd();
}
