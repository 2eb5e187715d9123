-- Up Migration
-- Streamers: rows without a tenant are the platform's, seen by all tenants and written only outside of a tenant.
create table streamer (
  id bigint generated always as identity primary key,
  tenant_id uuid references tenant (id) on delete cascade,
  kind text not null check (kind in ('castellan', 'castis')),
  name text not null,
  base_url text not null,
  public_url text,
  credential text,
  playback_url_template text not null,
  streams_max int,
  -- Of our own: which streamer of which node it is, and what it said last.
  node_id text,
  ordinal int,
  stream_count int not null default 0,
  draining boolean not null default false,
  last_seen_at timestamptz(3),
  -- Of castis nodes: the outcome of the last call.
  reachable boolean,
  created_at timestamptz(3) not null default now(),
  unique nulls not distinct (tenant_id, base_url),
  unique (node_id, ordinal),
  -- Our own are the platform's: a tenant must not be able to sit on the place of one.
  check (case kind when 'castis' then node_id is null
    else tenant_id is null and node_id is not null and ordinal is not null end)
);
create table channel (
  id bigint generated always as identity primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  name text not null,
  sid int,
  quality text,
  stream_id text not null,
  source_type text not null,
  ingest_config jsonb not null,
  transcode_config jsonb,
  status text not null check (status in ('pending', 'active', 'degraded', 'failed', 'stopped')),
  wanted text not null default 'running' check (wanted in ('running', 'stopped')),
  -- Wall clock of stream time 0 of a pl:/// loop.
  loop_started_at timestamptz(3),
  -- Made by a key that may name private addresses.
  trusted boolean not null default false,
  idempotency_key text,
  version int not null default 1,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  deleted_at timestamptz(3),
  unique (tenant_id, stream_id),
  unique (tenant_id, idempotency_key),
  unique (tenant_id, id)
);
-- Foreign keys look past row security: the tenant is part of them, or a tenant could attach rows to another's channel.
create table channel_origin (
  id bigint generated always as identity primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  channel_id bigint not null,
  streamer_id bigint not null references streamer (id),
  ingest_url text,
  stream_id text not null,
  playback_url text,
  status text not null check (status in ('pending', 'active', 'failed', 'stopped', 'conflict')),
  message text,
  wanted text not null default 'present' check (wanted in ('present', 'absent')),
  -- Grows when the payload for this origin changes: what it runs is older than that → push again.
  generation int not null default 1,
  created_at timestamptz(3) not null default now(),
  unique (channel_id, streamer_id),
  foreign key (tenant_id, channel_id) references channel (tenant_id, id) on delete cascade
);
create index channel_origin_streamer on channel_origin (streamer_id);
-- Work that a crash must not leave half done; another process takes it up when the incarnation is gone.
create table saga (
  id uuid primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  kind text not null check (kind in ('channel.create')),
  channel_id bigint not null,
  step text not null check (step in ('pushing', 'undoing')),
  incarnation uuid not null,
  created_at timestamptz(3) not null default now()
);
-- Written by the channel's live owner only, each write fenced by its lease epoch.
create table channel_runtime (
  channel_id bigint primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  lease_epoch bigint not null,
  observed jsonb not null,
  updated_at timestamptz(3) not null default now(),
  foreign key (tenant_id, channel_id) references channel (tenant_id, id) on delete cascade
);
create table channel_anchor (
  channel_id bigint primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  lease_epoch bigint not null,
  offset_ticks bigint not null,
  residual_ms double precision not null,
  first_segment_number bigint not null,
  frame_rate_num int not null,
  frame_rate_den int not null,
  anchor_epoch int not null,
  updated_at timestamptz(3) not null default now(),
  foreign key (tenant_id, channel_id) references channel (tenant_id, id) on delete cascade
);

do $$
declare name text;
begin
  foreach name in array array['channel', 'saga', 'channel_runtime', 'channel_anchor'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format('create policy tenant_only on %I using (tenant_id = '
      '(select nullif(current_setting(''app.tenant_id'', true), '''')::uuid))', name);
  end loop;
end $$;
alter table channel_origin enable row level security;
alter table channel_origin force row level security;
-- A streamer may be the platform's, so its foreign key can't hold the tenant; this reads it through its own policy.
create policy tenant_only on channel_origin
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid)
    and exists (select from streamer where id = streamer_id));
alter table streamer enable row level security;
alter table streamer force row level security;
create policy platform_or_tenant on streamer for select
  using (tenant_id is null or tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
create policy own_insert on streamer for insert
  with check (tenant_id is not distinct from (select nullif(current_setting('app.tenant_id', true), '')::uuid));
create policy own_update on streamer for update
  using (tenant_id is not distinct from (select nullif(current_setting('app.tenant_id', true), '')::uuid));
create policy own_delete on streamer for delete
  using (tenant_id is not distinct from (select nullif(current_setting('app.tenant_id', true), '')::uuid));

-- Down Migration
drop table channel_anchor;
drop table channel_runtime;
drop table saga;
drop table channel_origin;
drop table channel;
drop table streamer;
