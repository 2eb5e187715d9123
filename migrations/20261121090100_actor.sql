-- Up Migration
-- One row per live process: the row is the lease of all that it owns; its absence frees every key of that incarnation.
create table actor_node (
  incarnation uuid primary key,
  node_id text not null,
  lock_key bigint not null,
  capacity int not null,
  draining boolean not null default false,
  renewed_at timestamptz not null default now(),
  lease_until timestamptz not null
);
-- The directory of keyed actors. lease_epoch is the fencing token: it grows at every change of owner.
create table actor_placement (
  kind text not null,
  key text not null,
  node_id text,
  incarnation uuid,
  lease_epoch bigint not null default 0,
  claimed_at timestamptz,
  primary key (kind, key)
);
create index actor_placement_incarnation on actor_placement (incarnation);

-- Down Migration
drop table actor_placement;
drop table actor_node;
