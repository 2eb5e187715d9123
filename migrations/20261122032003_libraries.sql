-- Up Migration
-- Titles of a tenant in libraries, and licences by which another tenant may show what is in one.
create table library (
  id uuid primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  slug text not null,
  name text not null,
  version int not null default 1,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  unique (tenant_id, slug),
  unique (tenant_id, id)
);
create table library_title (
  library_id uuid not null,
  title_id uuid not null,
  tenant_id uuid not null references tenant (id) on delete cascade,
  added_at timestamptz(3) not null default now(),
  primary key (library_id, title_id),
  foreign key (tenant_id, library_id) references library (tenant_id, id) on delete cascade,
  foreign key (tenant_id, title_id) references title (tenant_id, id) on delete cascade
);
create index library_title_of on library_title (tenant_id, title_id);

create table library_licence (
  id uuid primary key,
  -- Who gives it.
  tenant_id uuid not null references tenant (id) on delete cascade,
  library_id uuid not null,
  -- Null: all that is in the library, whenever it is there. Else this one title, as long as it is there.
  title_id uuid,
  -- Who gets it.
  licensee_id uuid not null references tenant (id) on delete cascade,
  starts_at timestamptz(3) not null default now(),
  ends_at timestamptz(3),
  -- ISO 3166-1 alpha-2; null: everywhere.
  territories text[],
  -- Of the picture, in lines; null: no limit.
  max_height int,
  created_at timestamptz(3) not null default now(),
  revoked_at timestamptz(3),
  unique (tenant_id, id),
  foreign key (tenant_id, library_id) references library (tenant_id, id) on delete cascade,
  foreign key (tenant_id, title_id) references title (tenant_id, id) on delete cascade
);
create index library_licence_of on library_licence (tenant_id, library_id);
create index library_licence_to on library_licence (licensee_id);

do $$
declare name text;
begin
  foreach name in array array['library', 'library_title', 'library_licence'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format('create policy tenant_only on %I using (tenant_id = '
      '(select nullif(current_setting(''app.tenant_id'', true), '''')::uuid))', name);
  end loop;
end $$;
-- What a licensee reads of its licensor: the licence, and which titles it is for. A title's own rows stay out of its
-- reach; they are read as the licensor, one title at a time, after the licence was looked at.
create policy received on library_licence for select
  using (licensee_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
create policy licensed on library_title for select
  using (exists (
    select from library_licence l
    where l.tenant_id = library_title.tenant_id and l.library_id = library_title.library_id
      and (l.title_id is null or l.title_id = library_title.title_id)
      and l.licensee_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid)
      and l.revoked_at is null and l.starts_at <= now() and (l.ends_at is null or l.ends_at > now())));

-- Down Migration
drop table library_licence cascade;
drop table library_title;
drop table library;
