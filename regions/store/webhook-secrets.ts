import type { RotatedWebhookSecret } from "../../shared/contracts/webhooks.ts";
import { mintWebhookSecret } from "../../shared/signing/standard-webhook.ts";
import type { SecretBox } from "../ops/secret-box.ts";
import type { Orm, Transaction } from "./database.ts";
import { and, desc, eq, gt, isNull, or, sql } from "./drizzle.ts";
import { webhookSecrets } from "./webhook-schema.ts";

/** Whose secret: an endpoint's, or the tenant's own. */
export interface SecretOwner {
  owner: string;
  tenantId: string;
}

/** A row, not opened: what is wrong with a key is no fault of the database's. */
type SealedSecret = typeof webhookSecrets.$inferSelect;

/** More than these never sign: a header with many signatures is refused by some. */
const MOST_VALID = 4;
const contextOf = ({ owner, tenantId }: SecretOwner) => `webhook-secret/${tenantId}/${owner}`;

/** Secrets of webhooks in the database, sealed; in the clear only in the memory of who signs, and in the one answer that shows it. */
export function createWebhookSecrets(box: SecretBox) {
  const stillValid = or(
    isNull(webhookSecrets.expires_at),
    gt(webhookSecrets.expires_at, sql`now()`),
  );

  return {
    /** Makes a secret; the same id again answers the same secret. */
    async make(transaction: Transaction, secretId: string, whose: SecretOwner): Promise<string> {
      const secret = mintWebhookSecret();
      const { owner, tenantId: tenant_id } = whose;
      await transaction
        .insert(webhookSecrets)
        .values({ id: secretId, owner, tenant_id, sealed: box.seal(secret, contextOf(whose)) })
        .onConflictDoNothing();
      const [row] = await transaction
        .select()
        .from(webhookSecrets)
        .where(and(eq(webhookSecrets.id, secretId), eq(webhookSecrets.owner, owner)));
      if (!row) throw new Error("the secret's id belongs to another");
      return box.open(row.sealed, contextOf(whose));
    },

    /** Makes a secret and lets those before it end; one that ends sooner already still does. */
    async rotate(
      transaction: Transaction,
      secretId: string,
      whose: SecretOwner,
      overlapS: number,
    ): Promise<RotatedWebhookSecret> {
      const secret = await this.make(transaction, secretId, whose);
      // By the database's clock alone, which is the one that they end by.
      await transaction
        .update(webhookSecrets)
        .set({ expires_at: sql`now() + make_interval(secs => ${overlapS}::float8)` })
        .where(
          and(
            eq(webhookSecrets.owner, whose.owner),
            isNull(webhookSecrets.expires_at),
            sql`${webhookSecrets.id} <> ${secretId}`,
          ),
        );
      const [moment] = await transaction.execute<{ at: string }>(
        sql`select to_char((now() + make_interval(secs => ${overlapS}::float8)) at time zone 'UTC',
          'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at`,
      );
      return { secret, previous_expire_at: moment!.at };
    },

    /** An owner's secrets that sign now, sealed, the newest first. */
    valid(orm: Orm, owner: string): Promise<SealedSecret[]> {
      return orm
        .select()
        .from(webhookSecrets)
        .where(and(eq(webhookSecrets.owner, owner), stillValid))
        .orderBy(desc(webhookSecrets.created_at), desc(webhookSecrets.id))
        .limit(MOST_VALID);
    },

    /** @throws Error when a key that they were sealed with is not here */
    open: (secrets: readonly SealedSecret[]): string[] =>
      secrets.map(({ sealed, owner, tenant_id: tenantId }) =>
        box.open(sealed, contextOf({ owner, tenantId })),
      ),

    async remove(transaction: Transaction, owner: string): Promise<void> {
      await transaction.delete(webhookSecrets).where(eq(webhookSecrets.owner, owner));
    },
  };
}
