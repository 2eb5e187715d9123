/** The tables of graphile-worker, made and kept up to date by the library itself, as the owner of the database. */
import { Logger, runMigrations } from "graphile-worker";
import pg from "pg";

export const DELIVERY_SCHEMA = "graphile_worker";

const quiet = new Logger(() => () => {});

/** Installs or updates them, and lets `role` use them. They hold wake-ups without any tenant's data. */
export async function installDelivery({ url, role }: { readonly url: string; readonly role: string }): Promise<void> {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  try {
    await runMigrations({ pgPool: pool, logger: quiet, schema: DELIVERY_SCHEMA });
    await pool.query(grantsFor(role));
  } finally {
    await pool.end();
  }
}

/** The library turns row security on and makes no policy: without one only the owner could work. */
const grantsFor = (role: string): string => `
do $$
declare name text;
begin
  grant usage on schema ${DELIVERY_SCHEMA} to ${role};
  grant select, insert, update, delete on all tables in schema ${DELIVERY_SCHEMA} to ${role};
  grant usage, select on all sequences in schema ${DELIVERY_SCHEMA} to ${role};
  for name in select c.relname from pg_class c where c.relnamespace = '${DELIVERY_SCHEMA}'::regnamespace
    and c.relkind = 'r' and c.relrowsecurity
    and not exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'application')
  loop
    execute format('create policy application on ${DELIVERY_SCHEMA}.%I to ${role} using (true)', name);
  end loop;
  for name in select c.relname from pg_class c where c.relnamespace = '${DELIVERY_SCHEMA}'::regnamespace
    and c.relkind = 'v' and c.reloptions is null
  loop
    execute format('alter view ${DELIVERY_SCHEMA}.%I set (security_invoker = true)', name);
  end loop;
end $$`;
