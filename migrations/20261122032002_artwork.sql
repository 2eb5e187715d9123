-- Up Migration
-- Pictures of titles. One that was only found has no object yet; it is fetched when it is chosen.
create table artwork (
  id uuid primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  title_id uuid not null,
  kind text not null check (kind in ('poster', 'backdrop', 'logo', 'still')),
  -- ISO 639-1; empty: no words are on it.
  language text not null default '',
  source text not null check (source in ('tmdb', 'frame', 'manual')),
  -- Where it comes from: a path of the metadata service, an object's key, a hash of what was given by hand.
  origin text not null,
  width int,
  height int,
  -- In the bucket thumbnails, below {title_id}/artwork/.
  object_name text,
  size_bytes int,
  place int not null default 0,
  chosen boolean not null default false,
  -- By a person: a refresh does not choose another.
  chosen_by_hand boolean not null default false,
  created_at timestamptz(3) not null default now(),
  unique (tenant_id, title_id, kind, source, origin),
  foreign key (tenant_id, title_id) references title (tenant_id, id) on delete cascade
);
create unique index artwork_chosen on artwork (tenant_id, title_id, kind, language) where chosen;
alter table artwork enable row level security;
alter table artwork force row level security;
create policy tenant_only on artwork
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));

-- Down Migration
drop table artwork;
