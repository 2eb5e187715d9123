-- Up Migration
-- What tickets of gateways are signed with, one for all nodes; made by the first that needs it.
create table upload_key (
  singleton boolean primary key default true check (singleton),
  secret bytea not null check (length(secret) = 32),
  made_at timestamptz(3) not null default now()
);
create table upload (
  id uuid primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  kind text not null check (kind in ('tus', 'pull', 's3')),
  state text not null check (state in ('receiving', 'checking', 'done', 'refused', 'failed', 'expired', 'terminated')),
  filename text not null check (length(filename) between 1 and 255),
  name text,
  title_kind text not null check (title_kind in ('movie', 'episode', 'clip')),
  title_id uuid,
  -- Of a pull null until its server has said it.
  size_bytes bigint check (size_bytes > 0),
  -- What no kill and no power loss takes away.
  offset_bytes bigint not null default 0 check (offset_bytes >= 0),
  -- As the client gave it; HEAD gives it back.
  metadata jsonb not null default '{}',
  -- Of a pull and an import: where the bytes come from, and which version of them.
  origin jsonb,
  -- Why it ended without a source, for people.
  error text,
  -- Whoever writes its bytes now; one that lost its lock can't move the offset any more.
  writer uuid,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  -- Its bytes are gone, or an object that belongs to its title.
  cleaned boolean not null default false,
  -- Of an import; a column, since row security keeps what is not leakproof (->>) from using an index.
  origin_path text generated always as ((origin ->> 'bucket') || '/' || (origin ->> 'key')) stored,
  unique (tenant_id, id),
  check (offset_bytes <= size_bytes)
);
create index upload_origin on upload (tenant_id, origin_path);
create index upload_ended on upload (tenant_id, updated_at)
  where cleaned and state in ('refused', 'failed', 'expired', 'terminated');
create index upload_title on upload (tenant_id, title_id) where title_id is not null;
create index upload_open on upload (tenant_id, updated_at) where not cleaned;

alter table upload_key enable row level security;
alter table upload_key force row level security;
create policy platform_only on upload_key
  using ((select nullif(current_setting('app.tenant_id', true), '')) is null);
alter table upload enable row level security;
alter table upload force row level security;
create policy tenant_only on upload
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));

-- Down Migration
drop table upload;
drop table upload_key;
