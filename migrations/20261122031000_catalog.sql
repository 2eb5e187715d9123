-- Up Migration
-- Titles: what there is to play. All of it belongs to tenants.
-- Trusted extensions: who may create in the database may create them (PostgreSQL 13 and newer); else they must be there.
do $$
declare name text;
begin
  foreach name in array array['pg_trgm', 'btree_gin'] loop
    begin
      execute format('create extension if not exists %I schema public', name);
    exception
      when insufficient_privilege then
        raise exception 'the database user may not create the extension %: as a superuser, run "create extension %" in '
          'this database', name, name;
      when feature_not_supported or undefined_file then
        raise exception 'the database server lacks the extension %: install its contrib package (postgresql-contrib)', name;
    end;
  end loop;
end $$;

create table title (
  id uuid primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  kind text not null check (kind in ('movie', 'series', 'season', 'episode', 'clip', 'live')),
  state text not null default 'draft'
    check (state in ('draft', 'processing', 'ready', 'scheduled', 'published', 'withdrawn')),
  name text not null,
  original_name text,
  sort_name text,
  -- What lists are ordered by: sort_name or name, in lower case and without accents.
  sort_key text collate "C" not null,
  description text,
  tagline text,
  year int,
  -- YYYY-MM-DD
  release_date text,
  runtime_seconds int,
  ratings jsonb not null default '[]',
  tags text[] not null default '{}',
  languages text[] not null default '{}',
  external_ids jsonb not null default '{}',
  translations jsonb not null default '{}',
  channel_id bigint,
  access text not null default 'session' check (access in ('session', 'public')),
  encryption text check (encryption in ('aes-128', 'cbcs', 'cenc', 'none')),
  codec text check (codec in ('h264', 'hevc', 'all')),
  auto_publish boolean not null default false,
  available_from timestamptz(3),
  available_until timestamptz(3),
  -- Of the newest source; 0: there was none yet.
  revision int not null default 0,
  -- The newest revision whose beginning can be played, and the newest one that is whole.
  playable_revision int,
  ready_revision int,
  processing_error jsonb,
  media jsonb,
  rungs jsonb,
  -- Fields that a person has set: what is found elsewhere leaves them alone.
  manual_fields text[] not null default '{}',
  version int not null default 1,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  deleted_at timestamptz(3),
  -- The title whose deletion took this one along (its own id where it was deleted itself).
  deleted_with uuid,
  -- From now on there is no way back.
  purging_at timestamptz(3),
  unique (tenant_id, id),
  foreign key (tenant_id, channel_id) references channel (tenant_id, id) on delete set null (channel_id)
);
create index title_by_update on title (tenant_id, updated_at, id) where deleted_at is null;
create index title_by_name on title (tenant_id, sort_key, id) where deleted_at is null;
create index title_by_year on title (tenant_id, (coalesce(year, 0)), id) where deleted_at is null;
create index title_by_deletion on title (tenant_id, deleted_with) where deleted_at is not null;
create index title_by_channel on title (tenant_id, channel_id) where channel_id is not null;

-- A season of a series, an episode of a season. `live`: neither is deleted; the place of a deleted one is free.
create table title_child (
  title_id uuid primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  parent_id uuid not null,
  number int not null check (number >= 0),
  live boolean not null default true,
  foreign key (tenant_id, title_id) references title (tenant_id, id) on delete cascade,
  foreign key (tenant_id, parent_id) references title (tenant_id, id) on delete cascade
);
create unique index title_child_place on title_child (tenant_id, parent_id, number) where live;

create table genre (
  id uuid primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  slug text not null,
  name text not null,
  translations jsonb not null default '{}',
  version int not null default 1,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  unique (tenant_id, slug),
  unique (tenant_id, id)
);
create table title_genre (
  title_id uuid not null,
  genre_id uuid not null,
  tenant_id uuid not null references tenant (id) on delete cascade,
  place int not null,
  primary key (title_id, genre_id),
  foreign key (tenant_id, title_id) references title (tenant_id, id) on delete cascade,
  foreign key (tenant_id, genre_id) references genre (tenant_id, id) on delete cascade
);
create index title_genre_of on title_genre (tenant_id, genre_id, title_id);

-- Files that titles were made from, in the bucket `sources`: they go when their title is purged.
create table title_source (
  source_id uuid primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  title_id uuid not null,
  revision int not null,
  path text not null,
  filename text not null,
  size_bytes bigint not null,
  -- What ffprobe said of it.
  media jsonb,
  created_at timestamptz(3) not null default now(),
  foreign key (tenant_id, title_id) references title (tenant_id, id) on delete cascade
);
create index title_source_of on title_source (tenant_id, title_id, revision);

-- What titles are found by. Written with the title, in one transaction.
create table title_index (
  title_id uuid primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  kind text not null,
  state text not null,
  year int,
  -- Slugs.
  genres text[] not null,
  -- The name, and with it all other names, each after a space, as actors/catalog/fold.ts writes them: ASCII alone, so
  -- that trigrams are the same under every locale of the database.
  name_key text collate "C" not null,
  names text not null,
  hidden boolean not null,
  -- When the clock has something to do.
  due_at timestamptz(3),
  foreign key (tenant_id, title_id) references title (tenant_id, id) on delete cascade
);
create index title_index_names on title_index using gin (tenant_id, names gin_trgm_ops) with (fastupdate = off);
create index title_index_browse on title_index (tenant_id, name_key, title_id) where not hidden;
create index title_index_due on title_index (due_at) where due_at is not null;

do $$
declare name text;
begin
  foreach name in array array['title', 'title_child', 'genre', 'title_genre', 'title_source', 'title_index'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format('create policy tenant_only on %I using (tenant_id = '
      '(select nullif(current_setting(''app.tenant_id'', true), '''')::uuid))', name);
  end loop;
end $$;
-- For the functions below, which run as the owner and check by themselves who calls them: the application is not the
-- owner, and sees what it saw before.
create policy owner_reads on title_index for select to current_user using (true);

-- Row security keeps indexes of operators that are not leakproof from being used (LIKE, trigrams): this function looks
-- past it, and answers for the transaction's own tenant alone. `q` is folded.
create function search_titles(of_tenant uuid, q text, longest text, starts text[], kinds text[], states text[],
  genre_slugs text[], only_ids uuid[], year_from int, year_to int, after_score bigint, after_name text, after_id uuid,
  with_facets boolean, row_count int) returns jsonb language plpgsql security definer
set search_path = public, pg_temp set plan_cache_mode = force_custom_plan as $$
declare
  found jsonb;
begin
  if of_tenant is null or of_tenant is distinct from nullif(current_setting('app.tenant_id', true), '')::uuid then
    raise insufficient_privilege using message = 'a tenant searches its own titles only';
  end if;
  -- The shorter a word is, the more of its trigrams one wrong letter takes away; of 4 letters too little is left.
  perform set_config('pg_trgm.word_similarity_threshold',
    case when length(q) = 5 then '0.3' when length(q) between 6 and 9 then '0.4' else '0.5' end, true);
  with exact as materialized (
    select title_id, kind, state, year, genres, name_key, case
        when q = '' then 0
        else case when name_key = q then 4000000 when starts_with(name_key, q) then 3000000 else 2000000 end
          + least(900000, 900000 * length(q) / greatest(length(name_key), 1)) end::bigint as score
    from title_index
    where tenant_id = of_tenant and not hidden
      -- The longest word is looked up, the others are compared.
      and (q = '' or (names like longest and names like all (starts)))
      and (kinds is null or kind = any (kinds)) and (states is null or state = any (states))
      and (genre_slugs is null or genres @> genre_slugs) and (only_ids is null or title_id = any (only_ids))
      and (year_from is null or year >= year_from) and (year_to is null or year <= year_to)
  ), alike as materialized (
    select title_id, kind, state, year, genres, name_key, (1e6::float8 * word_similarity(q, names))::bigint as score
    from title_index i
    -- Only where nothing has these very words: next to what was meant it would be noise, and it is the dearer search.
    where length(q) >= 3 and not exists (select from exact)
      and tenant_id = of_tenant and not hidden and q <% names
      and (kinds is null or kind = any (kinds)) and (states is null or state = any (states))
      and (genre_slugs is null or genres @> genre_slugs) and (only_ids is null or title_id = any (only_ids))
      and (year_from is null or year >= year_from) and (year_to is null or year <= year_to)
  ), hit as not materialized (
    select * from exact
    union all
    -- Next to a good match a poor one is noise.
    select * from alike where score * 10 >= 7 * (select max(score) from alike)
  ), page as (
    select title_id, name_key, score from hit
    where after_id is null or score < after_score
      or (score = after_score and (name_key, title_id) > (after_name collate "C", after_id))
    order by score desc, name_key, title_id limit row_count
  ), counted as materialized (
    -- All counts in one pass; of genres those of each list of them, which are few.
    select grouping(kind, state, year, genres) as without, kind, state, year, genres, count(*) as n from hit
    group by grouping sets ((kind), (state), (year), (genres))
  )
  select jsonb_build_object(
    'hits', (select coalesce(jsonb_agg(jsonb_build_array(score, name_key, title_id)
      order by score desc, name_key, title_id), '[]') from page),
    'total', (select count(*) from hit),
    'facets', case when with_facets then jsonb_build_object(
      'kind', (select coalesce(jsonb_object_agg(kind, n), '{}') from counted where without = b'0111'::int),
      'state', (select coalesce(jsonb_object_agg(state, n), '{}') from counted where without = b'1011'::int),
      'year', (select coalesce(jsonb_object_agg(year, n), '{}') from (select year, n from counted
        where without = b'1101'::int and year is not null order by year desc limit 300) newest),
      'genre', (select coalesce(jsonb_object_agg(genre, n), '{}') from (select genre, sum(n) as n
        from counted, unnest(genres) genre where without = b'1110'::int
        group by genre order by 2 desc, 1 limit 300) most)) end)
  into found;
  return found;
end $$;

-- Titles of all tenants for which it is time; for the platform's clock alone.
create function titles_due(at timestamptz, row_count int) returns table (tenant_id uuid, title_id uuid) language plpgsql
stable security definer set search_path = public, pg_temp as $$
begin
  if nullif(current_setting('app.tenant_id', true), '') is not null then
    raise insufficient_privilege using message = 'only the platform asks this';
  end if;
  return query select i.tenant_id, i.title_id from title_index i where i.due_at <= at order by i.due_at limit row_count;
end $$;

-- Which of these titles there are, of whatever tenant; for the sweep of objects that belong to nobody.
create function titles_known(ids uuid[]) returns setof uuid language plpgsql stable security definer
set search_path = public, pg_temp as $$
begin
  if nullif(current_setting('app.tenant_id', true), '') is not null then
    raise insufficient_privilege using message = 'only the platform asks this';
  end if;
  return query select i.title_id from title_index i where i.title_id = any (ids);
end $$;
revoke execute on function search_titles, titles_due, titles_known from public;
grant execute on function search_titles, titles_due, titles_known to castellan_app;

-- Down Migration
drop function titles_known(uuid[]);
drop function titles_due(timestamptz, int);
drop function search_titles;
drop table title_index;
drop table title_source;
drop table title_genre;
drop table genre;
drop table title_child;
drop table title;
