import { z } from "zod";
import { dayRange } from "./day-range.ts";

/** What a quantity counts. */
export const UsageUnit = z.enum(["audio_second", "compute_second", "character"]);

/** Query of `GET /v1/usage`; without a range the last 30 days. */
export const GetUsage = z.strictObject({
  from: dayRange.from.optional(),
  to: dayRange.to.optional(),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(100)
    .default(31)
    .meta({ description: "Days in a page" }),
  cursor: z
    .string()
    .min(1)
    .max(512)
    .optional()
    .meta({ description: "`next_cursor` of the page before" }),
});

export const UsageDay = z
  .strictObject({
    day: z.iso.date(),
    usd: z.number(),
    stages: z.array(
      z.strictObject({
        stage: z.string(),
        unit: UsageUnit,
        quantity: z.number(),
        usd: z.number(),
        /** Runs of the stage. */
        events: z.int(),
      }),
    ),
  })
  .meta({ id: "UsageDay" });
export type UsageDay = z.infer<typeof UsageDay>;

/** Days without usage are left out. */
export const UsageReport = z
  .strictObject({
    from: z.iso.date(),
    to: z.iso.date(),
    as_of: z.iso.datetime().nullable().meta({
      description: "What was recorded by then is in it; null before the first sum was made",
    }),
    data: z.array(UsageDay),
    next_cursor: z.string().nullable(),
  })
  .meta({ id: "UsageReport" });
export type UsageReport = z.infer<typeof UsageReport>;
