-- Up Migration
-- Tenants and who may speak for them. `tenant` itself has no tenant_id: it is the list of them. Outside of a tenant all
-- of it can be read and written, inside only the tenant's own row: deleting another one would take its channels along.
create table tenant (
  id uuid primary key,
  slug text not null unique check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name text not null,
  created_at timestamptz(3) not null default now()
);
create table api_key (
  id uuid primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  name text not null,
  secret_sha256 bytea not null,
  prefix text not null,
  scopes text[] not null,
  created_at timestamptz(3) not null default now(),
  last_used_at timestamptz(3),
  revoked_at timestamptz(3),
  unique (tenant_id, secret_sha256)
);
create table idempotency_key (
  tenant_id uuid not null references tenant (id) on delete cascade,
  key text not null,
  fingerprint text not null,
  status int,
  body text,
  locked_until timestamptz not null,
  created_at timestamptz(3) not null default now(),
  primary key (tenant_id, key)
);
create index idempotency_key_age on idempotency_key (created_at);

alter table tenant enable row level security;
alter table tenant force row level security;
create policy platform_or_own on tenant
  using (id = coalesce((select nullif(current_setting('app.tenant_id', true), '')::uuid), id));
alter table api_key enable row level security;
alter table api_key force row level security;
create policy tenant_only on api_key
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
alter table idempotency_key enable row level security;
alter table idempotency_key force row level security;
create policy tenant_only on idempotency_key
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));

-- Down Migration
drop table idempotency_key;
drop table api_key;
drop table tenant;
