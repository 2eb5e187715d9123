-- Up Migration
-- The URLs of a castis node were given by a key that may name private addresses: such a node is followed there.
alter table streamer add column trusted boolean not null default false;
-- The platform's entries are made by such keys alone. Row security lets the owner at them: they have no tenant.
update streamer set trusted = true where tenant_id is null and kind = 'castis';

-- Down Migration
alter table streamer drop column trusted;
