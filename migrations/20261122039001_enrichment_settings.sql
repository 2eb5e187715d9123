-- Up Migration
-- What a tenant wants of the metadata service, for all of its titles that say nothing themselves.
create table enrichment_settings (
  tenant_id uuid primary key references tenant (id) on delete cascade,
  language text,
  -- 1: nothing was set yet.
  version int not null default 2,
  updated_at timestamptz(3) not null default now()
);
alter table enrichment_settings enable row level security;
alter table enrichment_settings force row level security;
create policy tenant_only on enrichment_settings
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));

-- Down Migration
drop table enrichment_settings;
