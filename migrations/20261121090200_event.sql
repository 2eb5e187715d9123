-- Up Migration
-- The outbox: a fact is a row in the transaction of the state that it announces, one todo row per consumer.
create table event (
  id bigint generated always as identity primary key,
  name text not null,
  key text not null,
  payload jsonb not null,
  created_at timestamptz(3) not null default now()
);
create index event_age on event (created_at);
-- Who wants which facts ('*': all, '': none from here, but by way of NATS). One that is not seen for long is forgotten
-- with its todo rows.
create table event_consumer (
  consumer text not null,
  name text not null,
  since timestamptz(3) not null default now(),
  seen_at timestamptz(3) not null default now(),
  primary key (consumer, name)
);
create table event_todo (
  consumer text not null,
  event_id bigint not null references event (id) on delete cascade,
  key text not null,
  attempt_count int not null default 0,
  next_at timestamptz not null default now(),
  error text,
  dead boolean not null default false,
  primary key (consumer, event_id)
);
create index event_todo_next on event_todo (consumer, next_at) where not dead;
-- A key's events in order: only its first one may be taken.
create index event_todo_lane on event_todo (consumer, key, event_id) where not dead;
create index event_todo_event on event_todo (event_id);
-- The lock makes the order of ids the order of commits within a key: without it a later id could be seen first.
create function publish_event(event_name text, event_key text, event_payload jsonb) returns bigint language plpgsql as $$
declare new_id bigint;
begin
  perform pg_advisory_xact_lock(20261121, hashtext(event_key));
  insert into event (name, key, payload) values (event_name, event_key, event_payload) returning id into new_id;
  insert into event_todo (consumer, event_id, key)
    select distinct consumer, new_id, event_key from event_consumer where name in (event_name, '*');
  perform pg_notify('castellan_event', event_name);
  return new_id;
end $$;

-- Down Migration
drop function publish_event(text, text, jsonb);
drop table event_todo;
drop table event_consumer;
drop table event;
