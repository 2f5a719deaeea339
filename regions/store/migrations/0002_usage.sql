-- Which transaction wrote a row: the roll-up asks for what came since it last looked, late rows of old months included.
-- A number in time tells nothing of when its transaction committed; with pg_snapshot_xmin, this does.
alter table usage_events add column written_xid bigint not null default (pg_current_xact_id()::text::bigint);
create index usage_events_by_writer on usage_events using brin (written_xid) with (autosummarize = on);

-- Sums of usage_events by day (UTC). They outlive the events, whose months are dropped.
create table usage_daily (
  tenant_id text not null,
  day date not null,
  stage text not null,
  unit text not null,
  quantity double precision not null,
  usd numeric(18, 9) not null,
  events bigint not null,
  primary key (tenant_id, day, stage, unit)
);

-- One row: everything that transactions before done_xid wrote is in usage_daily.
create table usage_rollup (
  is_only boolean primary key default true check (is_only),
  done_xid bigint not null,
  rolled_at timestamptz not null
);
insert into usage_rollup (done_xid, rolled_at) values (0, '-infinity');
