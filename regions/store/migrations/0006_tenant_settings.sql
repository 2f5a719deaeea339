-- What can be set of a tenant: its limits (null: the deployment's), and the origins whose pages may read its answers.
alter table tenants
  add column limits jsonb,
  add column cors_origins text[] not null default '{}';
create index tenants_by_origin on tenants using gin (cors_origins);

-- Whose tokens speak for which tenant. One issuer may serve many tenants, each under an audience of its own.
create table jwt_issuers (
  issuer text not null,
  audience text not null,
  tenant_id text not null references tenants (id),
  jwks_uri text not null,
  algorithms text[] not null check (cardinality(algorithms) > 0),
  scopes text[] not null check (cardinality(scopes) > 0),
  primary key (issuer, audience)
);
create index jwt_issuers_by_tenant on jwt_issuers (tenant_id);
