-- Up Migration
-- Keys of contents, wrapped under a master key that is not in the database; the tenant is the content's owner.
create table content_key (
  tenant_id uuid not null references tenant (id) on delete cascade,
  content_id uuid not null,
  generation int not null check (generation > 0),
  -- Public: what licences name the key by.
  key_id bytea not null,
  wrapped bytea not null,
  -- Which master key opens it.
  master_key_id text not null,
  created_at timestamptz(3) not null default now(),
  primary key (tenant_id, content_id, generation)
);
create index content_key_master on content_key (tenant_id, master_key_id);
-- The platform's own: what playback tokens are signed with. Inside of a tenant none of it is there.
create table token_signing_key (
  key_id text primary key,
  public_key text not null,
  wrapped bytea not null,
  master_key_id text not null,
  -- Edges know a key before tokens of it come.
  signs_from timestamptz(3) not null,
  created_at timestamptz(3) not null default now()
);
-- Who was given which key, and who was refused one. The tenant is the content's owner.
create table key_delivery (
  id uuid not null,
  tenant_id uuid not null references tenant (id) on delete cascade,
  content_id uuid not null,
  -- Null: the key was not found by what was asked.
  generation int,
  -- Null: without a session.
  session_id uuid,
  viewer text,
  address text not null,
  outcome text not null,
  delivered_at timestamptz(3) not null,
  primary key (tenant_id, id)
);
create index key_delivery_content on key_delivery (tenant_id, content_id, id);
create index key_delivery_age on key_delivery (tenant_id, delivered_at);

alter table content_key enable row level security;
alter table content_key force row level security;
create policy own_tenant on content_key
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
alter table key_delivery enable row level security;
alter table key_delivery force row level security;
create policy own_tenant on key_delivery
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
alter table token_signing_key enable row level security;
alter table token_signing_key force row level security;
create policy platform_only on token_signing_key
  using ((select nullif(current_setting('app.tenant_id', true), '')) is null);

-- Down Migration
drop table key_delivery;
drop table token_signing_key;
drop table content_key;
