-- Up Migration
-- What edges counted, by the hour, and which of their batches are in it. Platform's: inside of a tenant none of it is there.
-- `counted`: ranges of sequence numbers; `partial`: batches of which some parts are counted. Both change in the
-- transaction of the counts.
create table cdn_account_delivery (
  edge text not null,
  series text not null,
  counted jsonb not null,
  partial jsonb not null,
  delivered_at timestamptz(3) not null,
  primary key (edge, series)
);
-- `tenant` is a slug as edges have it, '' for a third party. Figures in the order of domain/accounting/columns.ts.
create table cdn_account_hour (
  hour timestamptz(0) not null,
  customer text not null,
  tenant text not null,
  hostname text not null,
  edge text not null,
  requests bigint not null,
  hits bigint not null,
  sent_bytes bigint not null,
  origin_requests bigint not null,
  origin_bytes bigint not null,
  status_1xx bigint not null,
  status_2xx bigint not null,
  status_3xx bigint not null,
  status_4xx bigint not null,
  status_5xx bigint not null,
  client_left bigint not null,
  ttfb_micros bigint not null,
  ttfb_0 bigint not null,
  ttfb_1 bigint not null,
  ttfb_2 bigint not null,
  ttfb_3 bigint not null,
  ttfb_4 bigint not null,
  ttfb_5 bigint not null,
  ttfb_6 bigint not null,
  ttfb_7 bigint not null,
  ttfb_8 bigint not null,
  ttfb_9 bigint not null,
  ttfb_10 bigint not null,
  ttfb_11 bigint not null,
  ttfb_12 bigint not null,
  ttfb_13 bigint not null,
  ttfb_14 bigint not null,
  ttfb_15 bigint not null,
  ttfb_16 bigint not null,
  ttfb_17 bigint not null,
  primary key (hour, customer, tenant, hostname, edge)
);

alter table cdn_account_delivery enable row level security;
alter table cdn_account_delivery force row level security;
create policy platform_only on cdn_account_delivery
  using ((select nullif(current_setting('app.tenant_id', true), '')) is null);
alter table cdn_account_hour enable row level security;
alter table cdn_account_hour force row level security;
create policy platform_only on cdn_account_hour
  using ((select nullif(current_setting('app.tenant_id', true), '')) is null);

-- Down Migration
drop table cdn_account_hour;
drop table cdn_account_delivery;
