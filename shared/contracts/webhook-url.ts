import { z } from "zod";

function faultOf(text: string): string | undefined {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return "must be a URL";
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return "must begin with https://";
  if (url.username !== "" || url.password !== "") return "must hold no user name and no password";
  if (url.hash !== "") return "must have no fragment";
  return undefined;
}

/** Where a webhook goes, as far as its form tells; whether the address may be called, the region that calls it decides. */
export const WebhookUrl = z
  .string()
  .max(2048)
  .superRefine((text, context) => {
    const fault = faultOf(text);
    if (fault !== undefined) context.addIssue({ code: "custom", message: fault });
  })
  .meta({ id: "WebhookUrl", example: "https://example.com/antiphon" });

/** What a job asks for by itself, beside its tenant's endpoints. */
export const JobWebhook = z.strictObject({
  url: WebhookUrl,
  include_result: z.boolean().optional(),
});
export type JobWebhook = z.infer<typeof JobWebhook>;
