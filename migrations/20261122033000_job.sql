-- Up Migration
-- Jobs. What a tenant sees is `job`; what workers of all tenants claim is `job_queue`, which has a row for each live job.
-- Whether a live job waits or runs is said by its place in the queue alone.
create table job (
  id uuid primary key,
  tenant_id uuid not null references tenant (id) on delete cascade,
  kind text not null,
  payload jsonb not null,
  subject_kind text,
  subject_id text,
  key text,
  priority int not null,
  attempts_max int not null,
  state text not null default 'live' check (state in ('live', 'done', 'dead', 'cancelled')),
  -- As they were when it ended; a live job has them in the queue.
  attempt int not null default 0,
  epoch bigint not null default 0,
  node_id text,
  percent double precision,
  fps double precision,
  eta_seconds double precision,
  note text,
  error_code text,
  error_message text,
  result jsonb,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  started_at timestamptz(3),
  ended_at timestamptz(3),
  -- The transaction that wrote it last: who follows changes can tell which of them are all visible (pg_snapshot_xmin);
  -- of instants nobody can.
  changed xid8 not null default pg_current_xact_id(),
  unique (tenant_id, id)
);
create index job_subject on job (tenant_id, subject_kind, subject_id) where subject_id is not null;
create index job_ended on job (tenant_id, state, ended_at) where state <> 'live';

-- Processes that work on jobs: the row is the lease of all that it runs.
create table job_worker (
  incarnation uuid primary key,
  node_id text not null,
  renewed_at timestamptz not null default now(),
  lease_until timestamptz not null
);
-- epoch is the fencing token: it grows with every claim, also over a replay.
create table job_queue (
  job_id uuid primary key,
  owner_id uuid not null,
  kind text not null,
  -- The job's, so that a claim needs no tenant.
  payload jsonb not null,
  key text,
  subject_kind text,
  subject_id text,
  priority int not null,
  run_at timestamptz(3) not null,
  attempt int not null default 0,
  attempts_max int not null,
  -- How often its worker was lost, and how often in a row something that it needs was away: neither is its fault.
  lapse_count int not null default 0,
  wait_count int not null default 0,
  -- Of the first of these looks.
  waiting_since timestamptz(3),
  epoch bigint not null,
  holder uuid,
  node_id text,
  claimed_at timestamptz(3),
  cancelled boolean not null default false,
  -- The job has ended as cancelled and nobody holds it: only its kind is still to hear of it, when it has a worker.
  is_over boolean not null default false,
  changed xid8 not null default pg_current_xact_id(),
  created_at timestamptz(3) not null default now(),
  foreign key (owner_id, job_id) references job (tenant_id, id) on delete cascade
);
create unique index job_queue_key on job_queue (owner_id, kind, key) where key is not null and not cancelled;
create index job_queue_next on job_queue (owner_id, priority, created_at, job_id) where holder is null;
create index job_queue_holder on job_queue (holder) where holder is not null;
create index job_queue_ending on job_queue (kind) where holder is null and (cancelled or lapse_count >= 10);
create index job_queue_owner on job_queue (owner_id, subject_kind, subject_id);

alter table job enable row level security;
alter table job force row level security;
create policy tenant_only on job
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
alter table job_worker enable row level security;
alter table job_worker force row level security;
create policy platform_only on job_worker
  using ((select nullif(current_setting('app.tenant_id', true), '')) is null);
alter table job_queue enable row level security;
alter table job_queue force row level security;
-- Inside of a tenant only its own jobs are there; outside, where workers claim, those of all.
create policy platform_or_owner on job_queue
  using ((select nullif(current_setting('app.tenant_id', true), '')) is null
    or owner_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));

-- Down Migration
drop table job_queue;
drop table job_worker;
drop table job;
