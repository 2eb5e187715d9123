-- Up Migration
-- A title's source on its way to rungs; one row per revision of a title.
create table transcode (
  tenant_id uuid not null references tenant (id) on delete cascade,
  title_id uuid not null,
  revision int not null check (revision > 0),
  state text not null default 'planning'
    check (state in ('planning', 'encoding', 'stitching', 'complete', 'failed', 'cancelled')),
  -- In the bucket sources.
  source_path text not null,
  encryption text not null,
  codec text,
  -- In the bucket segments: a copy of the source that can be sought, where the source itself can't be.
  input_path text,
  -- What was decided about it: source, rate, frames, rungs, tracks.
  plan jsonb,
  audio_done boolean not null default false,
  audio_path text,
  -- The beginning of it, with the same frames, so that a long title plays before all of its sound is there.
  audio_head_path text,
  subtitles_done boolean not null default false,
  subtitles jsonb not null default '[]',
  -- Inside of the picture: a chunk may be the first to see any.
  captions text not null default 'none' check (captions in ('none', 'wanted', 'done')),
  storyboard_path text,
  -- Chunks without a hole from the beginning, as the last job that writes set.json was told.
  chunks_told int not null default 0,
  set_serial int not null default 0,
  playable_at timestamptz(3),
  failure jsonb,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  primary key (tenant_id, title_id, revision)
);
create table transcode_chunk (
  tenant_id uuid not null,
  title_id uuid not null,
  revision int not null,
  chunk_index int not null,
  from_frame int not null,
  until_frame int not null check (until_frame > from_frame),
  -- Of its rungs, by their names; null until they are there.
  paths jsonb,
  primary key (tenant_id, title_id, revision, chunk_index),
  foreign key (tenant_id, title_id, revision) references transcode on delete cascade
);
create table transcode_rung (
  tenant_id uuid not null,
  title_id uuid not null,
  revision int not null,
  name text not null,
  path text not null,
  size_bytes bigint not null,
  primary key (tenant_id, title_id, revision, name),
  foreign key (tenant_id, title_id, revision) references transcode on delete cascade
);
do $$
declare name text;
begin
  foreach name in array array['transcode', 'transcode_chunk', 'transcode_rung'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format('create policy tenant_only on %I using (tenant_id = '
      '(select nullif(current_setting(''app.tenant_id'', true), '''')::uuid))', name);
  end loop;
end $$;

-- Down Migration
drop table transcode_rung;
drop table transcode_chunk;
drop table transcode;
