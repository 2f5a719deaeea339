import { startOfDay } from "../../shared/contracts/day-range.ts";
import {
  type FeatureName,
  MAX_TREND_ANALYSES,
  type FeatureTrend,
  type UserAnalysis,
  type UserHistory,
} from "../../shared/contracts/user-history.ts";
import { sql } from "./drizzle.ts";
import type { Database, Orm } from "./database.ts";
import { createJobCursor, type CursorPosition } from "./job-cursor.ts";

export interface UserHistoryQuery {
  tenantId: string;
  userId: string;
  /** Days (UTC), both in it. */
  from: string;
  to: string;
  features: readonly FeatureName[];
  limit: number;
  cursor?: string | undefined;
}

export interface UserHistoryRead {
  /**
   * One end user's final analyses from this region's server, newest first, and on the first page how the features went.
   * Only of tenants whose residency is global: of others the database knows no end users.
   * @throws ApiError invalid_request (a cursor of another list, or none of ours) | dependency_unavailable
   */
  read(query: UserHistoryQuery): Promise<UserHistory>;
}

interface Row extends Record<string, unknown> {
  id: string;
  status: UserAnalysis["status"];
  region: string;
  created_at: string;
  audio_duration_s: number | null;
  error_code: string | null;
  features: Partial<Record<FeatureName, number | null>> | null;
}
interface TrendRow extends Record<string, unknown> {
  name: FeatureName | null;
  analyses: number;
  count: number;
  mean: number | null;
  first: number | null;
  last: number | null;
  slope: number | null;
}

export function createUserHistory(database: Database): UserHistoryRead {
  const cursors = createJobCursor();

  /**
   * The jobs of the range. Its bounds, on jobs and on results, are parameters and no casts or sums: so the planner knows
   * them, and neither opens nor locks the partitions of other months.
   */
  const within = ({ tenantId, userId, from, to }: UserHistoryQuery) => sql`
    j.tenant_id = ${tenantId} and j.user_id = ${userId} and j.kind = 'analysis'
    and j.created_at >= ${startOfDay(from)}::timestamptz and j.created_at < ${startOfDay(to, 1)}::timestamptz`;
  const withResults = ({ from, to }: UserHistoryQuery) => sql`
    results r on r.job_id = j.id and r.created_at = j.created_at
    and r.created_at >= ${startOfDay(from)}::timestamptz and r.created_at < ${startOfDay(to, 1)}::timestamptz`;

  function page(orm: Orm, query: UserHistoryQuery, after: CursorPosition | undefined) {
    const names = JSON.stringify(query.features);
    const at = after && new Date(after.createdAtMs).toISOString();
    const rest = after
      ? sql`and (j.created_at, j.id) < (${at}::timestamptz, ${after.jobId})`
      : sql``;
    // The page first: only its own results are read.
    return orm.execute<Row>(sql`
      with page as materialized (
        select id, status, region, created_at, audio_duration_s, error_code from jobs j
        where ${within(query)} ${rest}
        order by j.created_at desc, j.id desc limit ${query.limit + 1})
      select j.id, j.status, j.region, to_char(j.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at,
        j.audio_duration_s, j.error_code,
        case when r.job_id is not null then (
          select jsonb_object_agg(name, r.result -> 'features' -> 'values' -> name)
          from jsonb_array_elements_text(${names}::text::jsonb) as name) end as features
      from page j left join ${withResults(query)}
      order by j.created_at desc, j.id desc`);
  }

  function trends(orm: Orm, query: UserHistoryQuery) {
    const names = JSON.stringify(query.features);
    return orm.execute<TrendRow>(sql`
      with newest as materialized (
        select id, created_at from jobs j where ${within(query)} and status = 'succeeded'
        order by j.created_at desc, j.id desc limit ${MAX_TREND_ANALYSES + 1}),
      seen as materialized (
        select j.id, j.created_at, r.result -> 'features' -> 'values' as feature_values
        from (select * from newest order by created_at desc, id desc limit ${MAX_TREND_ANALYSES}) j
        join ${withResults(query)}),
      each as (
        select name, id, created_at, (feature_values ->> name)::float8 as value
        from seen, jsonb_array_elements_text(${names}::text::jsonb) as name)
      select name, (select count(*) from newest)::int as analyses, count(value)::int as count, avg(value) as mean,
        (array_agg(value order by created_at, id) filter (where value is not null))[1] as first,
        (array_agg(value order by created_at desc, id desc) filter (where value is not null))[1] as last,
        regr_slope(value, extract(epoch from created_at)::float8 / 86400) as slope
      from each group by name`);
  }

  return {
    async read(query) {
      const { tenantId, userId, from, to, features, limit, cursor } = query;
      const after = cursor === undefined ? undefined : cursors.read(cursor, { tenantId, userId });
      const hasTrends = features.length > 0 && !after;
      const { rows, sums } = await database.read(async (orm) => ({
        rows: [...(await page(orm, query, after))],
        sums: hasTrends ? [...(await trends(orm, query))] : [],
      }));
      const shown = rows.slice(0, limit);
      const last = shown.at(-1);
      return {
        user_id: userId,
        from,
        to,
        data: shown.map(({ features: values, ...row }) => ({
          ...row,
          ...(features.length > 0 && values ? { features: values } : {}),
        })),
        next_cursor:
          rows.length > limit && last
            ? cursors.write({
                tenantId,
                userId,
                createdAtMs: Date.parse(last.created_at),
                jobId: last.id,
              })
            : null,
        ...(hasTrends
          ? {
              trends: Object.fromEntries(features.map((name) => [name, trendOf(name, sums)])),
              trends_truncated: sums.some(({ analyses }) => analyses > MAX_TREND_ANALYSES),
            }
          : {}),
      };
    },
  };
}

function trendOf(name: FeatureName, rows: readonly TrendRow[]): FeatureTrend {
  const row = rows.find((each) => each.name === name);
  return {
    count: row?.count ?? 0,
    mean: row?.mean ?? null,
    first: row?.first ?? null,
    last: row?.last ?? null,
    slope_per_day: row?.slope ?? null,
  };
}
