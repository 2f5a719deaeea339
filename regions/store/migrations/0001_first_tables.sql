create table tenants (
  id text primary key,
  name text not null,
  residency text not null check (residency in ('global', 'us', 'eu', 'in')),
  created_at timestamptz not null default now()
);

create table api_keys (
  id text primary key,
  key_hash text not null unique check (key_hash ~ '^[0-9a-f]{64}$'),
  tenant_id text not null references tenants (id),
  name text not null,
  scopes text[] not null check (cardinality(scopes) > 0),
  expires_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null default now()
);
create index api_keys_by_tenant on api_keys (tenant_id);

-- created_at is the time inside the job id, in this and the next two tables: a later run cannot add a second row.
create table jobs (
  id text not null,
  created_at timestamptz not null,
  tenant_id text not null,
  kind text not null,
  residency text not null check (residency in ('global', 'us', 'eu', 'in')),
  region text not null,
  priority text not null,
  dispatch integer not null check (dispatch >= 1),
  attempt integer not null check (attempt >= 0),
  status text not null check (status in ('succeeded', 'failed', 'canceled')),
  error_code text,
  user_id text,
  metadata jsonb,
  audio_sha256 text,
  audio_duration_s double precision,
  result_key text,
  started_at timestamptz,
  finished_at timestamptz,
  usd numeric(18, 9) not null check (usd >= 0),
  primary key (id, created_at),
  -- This database replicates everywhere: what a bound tenant's client wrote may not enter it.
  constraint jobs_content_is_global check (residency = 'global' or (user_id is null and metadata is null))
) partition by range (created_at);
create index jobs_by_tenant on jobs (tenant_id, created_at desc, id desc);
create index jobs_by_user on jobs (tenant_id, user_id, created_at);

create table results (
  job_id text not null,
  created_at timestamptz not null,
  tenant_id text not null,
  dispatch integer not null,
  attempt integer not null,
  result jsonb not null,
  primary key (job_id, created_at)
) partition by range (created_at);

create table usage_events (
  job_id text not null,
  stage text not null,
  created_at timestamptz not null,
  tenant_id text not null,
  quantity double precision not null check (quantity >= 0),
  unit text not null,
  usd numeric(18, 9) not null check (usd >= 0),
  primary key (job_id, stage, created_at)
) partition by range (created_at);
create index usage_events_by_tenant on usage_events (tenant_id, created_at);

create table audit_log (
  id uuid not null default uuidv7(),
  created_at timestamptz not null default now(),
  actor text not null,
  action text not null,
  target text not null,
  request_id text,
  details jsonb,
  primary key (id, created_at)
) partition by range (created_at);
create index audit_log_by_target on audit_log (target, created_at);
