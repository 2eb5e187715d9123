-- Up Migration
create table playback_session (
  id uuid not null,
  tenant_id uuid not null references tenant (id) on delete cascade,
  title_id uuid not null,
  -- Whose title it is: another tenant's where it is licensed.
  owner_tenant_id uuid not null,
  viewer text,
  -- Null: its addresses work from anywhere.
  address text,
  -- Of the viewer, where it was told.
  country text,
  -- Of the picture, in lines: what the licence allowed when it began. Null: no limit.
  max_height int,
  is_public boolean not null,
  created_at timestamptz(3) not null,
  expires_at timestamptz(3) not null,
  last_seen_at timestamptz(3),
  revoked_at timestamptz(3),
  primary key (tenant_id, id)
);
create index playback_session_title on playback_session (tenant_id, title_id, id);
create index playback_session_viewer on playback_session (tenant_id, viewer, id) where viewer is not null;
create index playback_session_expiry on playback_session (tenant_id, expires_at);
-- What edges refuse before its time is over: a session, or all that was begun of a title before an instant. Edges serve
-- all tenants, so it has none; inside of a tenant none of it is there.
create table playback_revocation (
  kind text not null check (kind in ('session', 'title')),
  id uuid not null,
  -- Of a title: sessions that began before it.
  before_at timestamptz(3) not null,
  -- Then no token of it is good any more.
  expires_at timestamptz(3) not null,
  created_at timestamptz(3) not null default now(),
  primary key (kind, id)
);
create index playback_revocation_made on playback_revocation (created_at, id);
create index playback_revocation_expiry on playback_revocation (expires_at);

alter table playback_session enable row level security;
alter table playback_session force row level security;
create policy own_tenant on playback_session
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
alter table playback_revocation enable row level security;
alter table playback_revocation force row level security;
create policy platform_only on playback_revocation
  using ((select nullif(current_setting('app.tenant_id', true), '')) is null);

-- Down Migration
drop table playback_revocation;
drop table playback_session;
