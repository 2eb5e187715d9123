-- Up Migration
-- People and what they did in titles. Each tenant has its own: no row of one leads to a title of another.
create table person (
  id uuid primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  -- Of the metadata service; one row each.
  tmdb_id int,
  name text not null,
  -- As names are compared (actors/catalog/fold.ts): what lists are ordered by and searched in.
  name_key text collate "C" not null,
  biography text,
  -- YYYY-MM-DD
  born_on text,
  died_on text,
  birthplace text,
  department text,
  -- In the bucket thumbnails, below {id}/artwork/.
  picture text,
  -- Fields that a person has set: what is found elsewhere leaves them alone.
  manual_fields text[] not null default '{}',
  -- When the metadata service was asked for more than the name.
  detailed_at timestamptz(3),
  version int not null default 1,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  unique (tenant_id, id),
  unique (tenant_id, tmdb_id)
);
create index person_by_name on person (tenant_id, name_key, id);

create table credit (
  id uuid primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  title_id uuid not null,
  person_id uuid not null,
  kind text not null check (kind in ('cast', 'crew')),
  character text,
  department text,
  job text,
  place int not null,
  -- A refresh replaces its own and leaves alone what a person wrote.
  source text not null check (source in ('tmdb', 'manual')),
  created_at timestamptz(3) not null default now(),
  foreign key (tenant_id, title_id) references title (tenant_id, id) on delete cascade,
  foreign key (tenant_id, person_id) references person (tenant_id, id) on delete cascade
);
create index credit_of_title on credit (tenant_id, title_id, kind, place);
create index credit_of_person on credit (tenant_id, person_id);

do $$
declare name text;
begin
  foreach name in array array['person', 'credit'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format('create policy tenant_only on %I using (tenant_id = '
      '(select nullif(current_setting(''app.tenant_id'', true), '''')::uuid))', name);
  end loop;
end $$;

-- Down Migration
drop table credit;
drop table person;
