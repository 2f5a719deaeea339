-- Days for which a tenant's results, audio and uploads are kept, such as {"results_days": 90}; what is not named goes by the
-- deployment's own rules.
alter table tenants add column retention jsonb not null default '{}';
