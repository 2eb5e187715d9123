-- Up Migration
-- The URL that an origin reads was given by a key that may name private addresses. Not of the whole channel: another
-- key may have given its other URLs.
alter table channel_origin add column trusted boolean not null default false;
-- Row security binds the owner too, who is no tenant here.
alter table channel no force row level security;
alter table channel_origin no force row level security;
update channel_origin o set trusted = true from channel c where c.id = o.channel_id and c.trusted;
alter table channel force row level security;
alter table channel_origin force row level security;
alter table channel drop column trusted;

-- Down Migration
alter table channel add column trusted boolean not null default false;
alter table channel no force row level security;
alter table channel_origin no force row level security;
update channel c set trusted = true
  where exists (select from channel_origin o where o.channel_id = c.id)
    and not exists (select from channel_origin o where o.channel_id = c.id and not o.trusted);
alter table channel force row level security;
alter table channel_origin force row level security;
alter table channel_origin drop column trusted;
