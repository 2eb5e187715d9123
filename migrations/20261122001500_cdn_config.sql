-- Up Migration
-- Configurations of CDN customers, as edges get them, and what edges said of them. They belong to the platform: inside
-- of a tenant none of it is there.
-- The key that they are signed with, made once. Whoever can read the row can tell edges what to serve.
create table cdn_signing_key (
  single boolean primary key default true check (single),
  private_key text not null,
  public_key text not null,
  made_at timestamptz(3) not null default now()
);
-- `document` is text and not jsonb: the signature is of its very bytes.
create table cdn_config (
  revision bigint primary key check (revision > 0),
  document text not null,
  signature text not null,
  rollback_of bigint,
  published_at timestamptz(3) not null
);
create table cdn_config_ack (
  id bigint generated always as identity primary key,
  revision bigint not null references cdn_config (revision) on delete cascade,
  node_id text not null,
  applied boolean not null,
  errors jsonb not null,
  acknowledged_at timestamptz(3) not null,
  unique (revision, node_id)
);

alter table cdn_signing_key enable row level security;
alter table cdn_signing_key force row level security;
create policy platform_only on cdn_signing_key
  using ((select nullif(current_setting('app.tenant_id', true), '')) is null);
alter table cdn_config enable row level security;
alter table cdn_config force row level security;
create policy platform_only on cdn_config
  using ((select nullif(current_setting('app.tenant_id', true), '')) is null);
alter table cdn_config_ack enable row level security;
alter table cdn_config_ack force row level security;
create policy platform_only on cdn_config_ack
  using ((select nullif(current_setting('app.tenant_id', true), '')) is null);

-- Down Migration
drop table cdn_config_ack;
drop table cdn_config;
drop table cdn_signing_key;
