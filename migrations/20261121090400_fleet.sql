-- Up Migration
-- The number of the newest snapshot of all channels for the edges, and the hash of what it holds: one row, no tenant's data.
create table fleet_snapshot (
  single boolean primary key default true check (single),
  version bigint not null,
  sha256 text not null,
  made_at timestamptz(3) not null
);

-- Down Migration
drop table fleet_snapshot;
