-- Up Migration
-- What the metadata service was asked about a title, and what came of it.
create table title_enrichment (
  title_id uuid primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  state text not null check (state in ('waiting', 'matched', 'unsure', 'unmatched', 'failed')),
  -- The best ones, best first.
  candidates jsonb not null default '[]',
  tmdb_id int,
  -- A person chose it: a search does not choose another.
  by_hand boolean not null default false,
  language text,
  error text,
  refreshed_at timestamptz(3),
  -- Grows with all that is told of it; 1: it was not asked for yet.
  version int not null default 2,
  updated_at timestamptz(3) not null default now(),
  foreign key (tenant_id, title_id) references title (tenant_id, id) on delete cascade
);
alter table title_enrichment enable row level security;
alter table title_enrichment force row level security;
create policy tenant_only on title_enrichment
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));

-- Down Migration
drop table title_enrichment;
