import { z } from "zod";
import type { WalPosition } from "../../shared/contracts/primary.ts";
import { readId } from "../../shared/contracts/ids.ts";
import type { FindWebhookDeliveries, WebhookDelivery } from "../../shared/contracts/webhooks.ts";
import { WebhookDeliveryId } from "../../shared/contracts/webhooks.ts";
import type { Database } from "./database.ts";
import { isBadRow, orUnavailable } from "./database-error.ts";
import { and, desc, eq, lt, or } from "./drizzle.ts";
import { invalidCursor, readCursor, writeCursor } from "./list-cursor.ts";
import { ensurePartitions, monthOf } from "./partitions.ts";
import { flushedPosition, TIMELINE } from "./replay.ts";
import { webhookDeliveries } from "./webhook-schema.ts";

/** A delivery as the database keeps it; of bound tenants without anything that their clients wrote. */
export interface DeliveryRow extends Omit<WebhookDelivery, "created_at"> {
  tenant_id: string;
  residency: "global" | "us" | "eu" | "in";
  url: string | null;
  include_result: boolean;
  facts: Record<string, unknown>;
  result_key: string | null;
  /** Grows with each change. */
  version: number;
}

export interface WebhookDeliveries {
  /**
   * Writes states of deliveries; one that is older than what is there changes nothing.
   * @returns what can never be written, by place, and a place in the log past this commit
   * @throws ApiError dependency_unavailable while the primary is away
   */
  write(rows: readonly DeliveryRow[]): Promise<{ at: WalPosition; refused: number[] }>;
  /** A tenant's deliveries that were tried, the newest jobs first. @throws ApiError invalid_request */
  list(
    query: z.output<typeof FindWebhookDeliveries>,
  ): Promise<{ data: WebhookDelivery[]; next_cursor: string | null }>;
  find(tenantId: string, id: string): Promise<DeliveryRow | undefined>;
}

const WRITE = `
with written as (
insert into webhook_deliveries as old
select * from jsonb_populate_recordset(null::webhook_deliveries, $1::text::jsonb)
on conflict (id, created_at) do update set
  status = excluded.status, attempts = excluded.attempts, response_status = excluded.response_status,
  error = excluded.error, last_attempt_at = excluded.last_attempt_at,
  next_attempt_at = excluded.next_attempt_at, version = excluded.version
where old.version < excluded.version
)
select ${TIMELINE} as timeline`;

const Position = z.tuple([z.int().min(0).max(8_640_000_000_000_000), WebhookDeliveryId]);

export function createWebhookDeliveries(database: Database): WebhookDeliveries {
  const knownMonths = new Set<string>();

  async function insert(rows: readonly (DeliveryRow & { created_at: string })[]): Promise<number> {
    const months = [...new Set(rows.map((row) => monthOf(Date.parse(row.created_at))))];
    const unknown = months.filter((month) => !knownMonths.has(month));
    if (unknown.length > 0) {
      await ensurePartitions(database.primary, unknown);
      for (const month of unknown) knownMonths.add(month);
    }
    const [row] = await database.primary.unsafe<[{ timeline: number }]>(
      WRITE,
      [JSON.stringify(rows)],
      { prepare: true },
    );
    return row.timeline;
  }

  return {
    async write(rows) {
      const refused: number[] = [];
      // One statement may touch a row only once; by id, so that writers that meet wait in one order.
      const newest = new Map<
        string,
        { row: DeliveryRow & { created_at: string }; index: number }
      >();
      rows.forEach((row, index) => {
        const createdAtMs = readId(row.job_id)?.createdAtMs;
        if (createdAtMs === undefined) {
          refused.push(index);
          return;
        }
        if ((newest.get(row.id)?.row.version ?? -1) >= row.version) return;
        const created_at = new Date(createdAtMs).toISOString();
        newest.set(row.id, { row: { ...row, created_at }, index });
      });
      const wanted = [...newest.values()].sort((a, b) => (a.row.id < b.row.id ? -1 : 1));
      return orUnavailable(async () => {
        const writtenOn = new Set<number>();
        try {
          if (wanted.length > 0) writtenOn.add(await insert(wanted.map(({ row }) => row)));
        } catch (error) {
          if (!isBadRow(error)) throw error;
          knownMonths.clear();
          for (const { row, index } of wanted) {
            try {
              writtenOn.add(await insert([row]));
            } catch (again) {
              if (!isBadRow(again)) throw again;
              refused.push(index);
            }
          }
        }
        return { at: await flushedPosition(database.primary, writtenOn), refused };
      });
    },

    async list({ tenant_id, endpoint_id, job_id, status, limit, cursor }) {
      const scope = ["webhooks", tenant_id, endpoint_id ?? "", job_id ?? "", status ?? ""];
      const place =
        cursor === undefined ? undefined : Position.safeParse(readCursor(cursor, scope));
      if (place && !place.success) throw invalidCursor();
      const after = place?.data;
      const at = after && new Date(after[0]);
      const table = webhookDeliveries;
      const rows = await database.read((orm) =>
        orm
          .select()
          .from(table)
          .where(
            and(
              eq(table.tenant_id, tenant_id),
              endpoint_id === undefined ? undefined : eq(table.endpoint_id, endpoint_id),
              // With its time, which names the one month that it lies in.
              job_id === undefined ? undefined : eq(table.job_id, job_id),
              job_id === undefined
                ? undefined
                : eq(table.created_at, new Date(readId(job_id)?.createdAtMs ?? 0)),
              status === undefined ? undefined : eq(table.status, status),
              at &&
                or(lt(table.created_at, at), and(eq(table.created_at, at), lt(table.id, after[1]))),
            ),
          )
          .orderBy(desc(table.created_at), desc(table.id))
          .limit(limit + 1),
      );
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      return {
        data: page.map((row) => toDelivery(toRow(row), row.created_at)),
        next_cursor:
          rows.length > limit && last
            ? writeCursor(scope, [last.created_at.getTime(), last.id])
            : null,
      };
    },

    async find(tenantId, id) {
      const where = and(eq(webhookDeliveries.id, id), eq(webhookDeliveries.tenant_id, tenantId));
      const [row] = await database.read((orm) => orm.select().from(webhookDeliveries).where(where));
      return row && toRow(row);
    },
  };
}

/** A row as clients see it. */
export function toDelivery(row: DeliveryRow, createdAt: Date): WebhookDelivery {
  const { id, webhook_id, event, job_id, endpoint_id, region, status, attempts } = row;
  const { response_status, error, last_attempt_at, next_attempt_at } = row;
  return {
    id,
    webhook_id,
    event,
    job_id,
    endpoint_id,
    region,
    status,
    attempts,
    response_status,
    error,
    last_attempt_at,
    next_attempt_at,
    created_at: createdAt.toISOString(),
  };
}

const toRow = ({ created_at: _, ...row }: typeof webhookDeliveries.$inferSelect): DeliveryRow => ({
  ...row,
  // Written by us alone, and checked by the table.
  residency: row.residency as DeliveryRow["residency"],
  event: row.event as DeliveryRow["event"],
  status: row.status as DeliveryRow["status"],
  last_attempt_at: row.last_attempt_at?.toISOString() ?? null,
  next_attempt_at: row.next_attempt_at?.toISOString() ?? null,
});
