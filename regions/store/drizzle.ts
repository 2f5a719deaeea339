import { createRequire } from "node:module";
import type * as Orm from "drizzle-orm";
import type * as Tables from "drizzle-orm/pg-core";
import type * as Driver from "drizzle-orm/postgres-js";

export type { PostgresJsDatabase } from "drizzle-orm/postgres-js";

const require = createRequire(import.meta.url);

/*
 * Drizzle by its CommonJS build. Its ES modules re-export each other in circles, which Node 24 takes 1.6 s and 290 MB
 * to link; the same code by `require` takes 0.25 s and 70 MB. Every process of a region loads it.
 */
export const { drizzle } = require("drizzle-orm/postgres-js") as typeof Driver;
export const { and, asc, desc, eq, gt, gte, inArray, isNull, lt, or, sql } =
  require("drizzle-orm") as typeof Orm;
export const {
  bigint,
  boolean,
  doublePrecision,
  index,
  integer,
  jsonb,
  numeric,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uuid,
} = require("drizzle-orm/pg-core") as typeof Tables;
