import { z } from "zod";
import { CompletionOffer, OutboxEnvelope, RunWebhook } from "../../shared/contracts/completion.ts";
import { unpackEndedRun } from "../../shared/contracts/ended-run.ts";
import { compareEpochs } from "../../shared/contracts/epoch.ts";

const Entry = z
  .strictObject({
    offer: CompletionOffer,
    envelope: OutboxEnvelope,
    webhook: RunWebhook.optional(),
    /** Key of the upload, where nothing of it may stay once the ledger has accepted the run. */
    spent: z.string().startsWith("uploads/").optional(),
  })
  .refine(
    ({ offer, envelope: { job } }) =>
      offer.job_id === job.id &&
      offer.tenant_id === job.tenant_id &&
      offer.status === job.status &&
      compareEpochs(offer.epoch, job.epoch) === 0,
    "offer and envelope are not of the same run",
  );
/** What a finished run leaves on the offers stream, in the field `offer`. */
export const OfferEntry = z.preprocess(unpackEndedRun, Entry);
export type OfferEntry = z.infer<typeof OfferEntry>;

/** Reads JSON by a schema; what is wrong with it comes as text that quotes none of it. */
export function readJson<T extends z.ZodType>(
  schema: T,
  text: string | undefined,
): { value: z.output<T> } | { fault: string } {
  let json: unknown;
  try {
    json = JSON.parse(text ?? "");
  } catch {
    return { fault: "it is not JSON" };
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return { value: parsed.data };
  const [issue] = parsed.error.issues;
  return {
    fault: `${issue?.path.map(String).join(".") || "entry"}: ${issue?.code ?? "not valid"}`,
  };
}
