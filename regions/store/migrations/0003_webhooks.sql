create table webhook_endpoints (
  id text primary key,
  tenant_id text not null references tenants (id),
  url text not null,
  events text[] not null check (cardinality(events) > 0),
  include_result boolean not null,
  status text not null check (status in ('active', 'paused', 'disabled')),
  status_reason text,
  status_since timestamptz not null default now(),
  created_at timestamptz not null default now()
);
create index webhook_endpoints_by_tenant on webhook_endpoints (tenant_id, created_at);

-- Of an endpoint, or of a tenant itself, for the webhook_url of its jobs. Several are valid at once while one is rotated.
create table webhook_secrets (
  id text primary key,
  owner text not null,
  tenant_id text not null references tenants (id),
  -- AES-256-GCM, by a key that is not in this database.
  sealed text not null check (sealed like 'v1.%'),
  expires_at timestamptz,
  created_at timestamptz not null default now()
);
create index webhook_secrets_by_owner on webhook_secrets (owner);

-- created_at is the time inside the job id, as in jobs. Holds no content: what is sent is made anew from what the region has.
create table webhook_deliveries (
  id text not null,
  created_at timestamptz not null,
  tenant_id text not null,
  residency text not null check (residency in ('global', 'us', 'eu', 'in')),
  region text not null,
  job_id text not null,
  event text not null,
  webhook_id text not null,
  endpoint_id text,
  -- The job's own, where there is no endpoint.
  url text,
  include_result boolean not null,
  facts jsonb not null,
  result_key text,
  status text not null check (status in ('pending', 'held', 'delivered', 'failed', 'canceled')),
  attempts integer not null,
  response_status integer,
  error text,
  last_attempt_at timestamptz,
  next_attempt_at timestamptz,
  -- Grows with each change: an older state never replaces a newer one.
  version bigint not null,
  primary key (id, created_at),
  -- This database replicates everywhere: what a bound tenant's client wrote may not enter it.
  constraint webhook_deliveries_content_is_global check
    (residency = 'global' or (url is null and not facts ?| array['user_id', 'metadata', 'result']))
) partition by range (created_at);
create index webhook_deliveries_by_tenant on webhook_deliveries (tenant_id, created_at desc, id desc);
create index webhook_deliveries_by_job on webhook_deliveries (job_id, created_at);
