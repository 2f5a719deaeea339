import { z } from "zod";
import { dayRange } from "./day-range.ts";
import { egemapsNames } from "./egemaps-names.ts";
import { JobId } from "./ids.ts";
import { FinalStatus, UserId } from "./job.ts";

export const FeatureName = z.enum(egemapsNames);
export type FeatureName = z.infer<typeof FeatureName>;

/** Trends are of the newest so many analyses of the range. */
export const MAX_TREND_ANALYSES = 2000;

/** Query of `GET /v1/users/{user_id}/analyses`; without a range the last 30 days. */
export const GetUserHistory = z.strictObject({
  from: dayRange.from.optional(),
  to: dayRange.to.optional(),
  features: z
    .string()
    .max(2000)
    .transform((text) => [...new Set(text.split(","))])
    .pipe(z.array(FeatureName).min(1).max(20))
    .optional()
    .meta({
      description: "Comma-separated names among the 88 of eGeMAPSv02, at most 20",
      override: { type: "string", example: "F0semitoneFrom27.5Hz_sma3nz_amean" },
    }),
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: z
    .string()
    .min(1)
    .max(512)
    .optional()
    .meta({ description: "`next_cursor` of the page before" }),
});

const FeatureValues = z.partialRecord(FeatureName, z.number().nullable());

export const UserAnalysis = z
  .strictObject({
    id: JobId,
    status: FinalStatus,
    region: z.string(),
    created_at: z.iso.datetime(),
    audio_duration_s: z.number().nullable(),
    error_code: z.string().nullable(),
    /** Of the features that were asked for; null where the recording has nothing to take one from. */
    features: FeatureValues.optional(),
  })
  .meta({ id: "UserAnalysis" });
export type UserAnalysis = z.infer<typeof UserAnalysis>;

/** How one feature went over the range. */
export const FeatureTrend = z
  .strictObject({
    /** Analyses that have a value. */
    count: z.int().min(0),
    mean: z.number().nullable(),
    first: z.number().nullable(),
    last: z.number().nullable(),
    /** Least squares over time, units of the feature a day; null below two moments. */
    slope_per_day: z.number().nullable(),
  })
  .meta({ id: "FeatureTrend" });
export type FeatureTrend = z.infer<typeof FeatureTrend>;

export const UserHistory = z
  .strictObject({
    user_id: UserId,
    from: z.iso.date(),
    to: z.iso.date(),
    data: z.array(UserAnalysis),
    next_cursor: z.string().nullable(),
    trends: z
      .partialRecord(FeatureName, FeatureTrend)
      .optional()
      .meta({ description: "Over the whole range, on the first page" }),
    trends_truncated: z
      .boolean()
      .optional()
      .meta({
        description: `True when the range holds more than the ${MAX_TREND_ANALYSES} newest analyses that were counted`,
      }),
  })
  .meta({ id: "UserHistory" });
export type UserHistory = z.infer<typeof UserHistory>;
