-- What was deleted and must not come back: one job, an end user's jobs, or all of a tenant's, up to a time. An end user stands here
-- as a hash alone, and only of tenants whose user ids are in this database at all.
create table tombstones (
  deletion_id text not null,
  tenant_id text not null,
  job_id text,
  user_hash text,
  before timestamptz not null,
  created_at timestamptz not null default now()
);
create unique index tombstones_once on tombstones (deletion_id, coalesce(job_id, ''));
create index tombstones_by_job on tombstones (tenant_id, job_id) where job_id is not null;
create index tombstones_by_scope on tombstones (tenant_id) where job_id is null;
