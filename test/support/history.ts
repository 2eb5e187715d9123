/** Keeps every accepted write of a channel's owners, in the order in which the database took them. */
import type pg from "pg";

const FENCED = ["channel_runtime", "channel_anchor"] as const;

export interface AcceptedWrite {
  readonly seq: number;
  readonly channelId: number;
  readonly leaseEpoch: number;
}

/** Adds triggers that write each accepted row down; for tests, as the owner of the database. */
export const keepHistory = async (db: pg.Client): Promise<void> => {
  await db.query(`
    create table accepted_write (
      seq bigint generated always as identity primary key, source text not null,
      channel_id bigint not null, lease_epoch bigint not null);
    grant insert on accepted_write to public;
    create function keep_write() returns trigger language plpgsql as $$
    begin
      insert into accepted_write (source, channel_id, lease_epoch)
        values (tg_table_name, new.channel_id, new.lease_epoch);
      return new;
    end $$;`);
  for (const table of FENCED) {
    await db.query(
      `create trigger keep_history after insert or update on ${table} for each row execute function keep_write()`,
    );
  }
};

export const historyOf = async (db: pg.Client): Promise<AcceptedWrite[]> =>
  (
    await db.query<AcceptedWrite>(
      `select seq::int, channel_id::int as "channelId", lease_epoch::float8 as "leaseEpoch" from accepted_write order by seq`,
    )
  ).rows;

/** Writes that came after one of a newer owner; there must be none. */
export const staleWrites = (history: readonly AcceptedWrite[]): AcceptedWrite[] => {
  const highest = new Map<number, number>();
  return history.filter(({ channelId, leaseEpoch }) => {
    const before = highest.get(channelId) ?? 0;
    highest.set(channelId, Math.max(before, leaseEpoch));
    return leaseEpoch < before;
  });
};

interface CommandLine {
  readonly msg?: string;
  readonly stream?: string;
  readonly leaseEpoch?: number;
}

/** Commands that a streamer took although a newer owner had spoken to it; read from its log. */
export const staleCommands = (output: string): CommandLine[] => {
  const highest = new Map<string, number>();
  return output
    .split("\n")
    .filter((line) => line.includes('"command taken"'))
    .map((line) => JSON.parse(line) as CommandLine)
    .filter(({ stream = "", leaseEpoch = 0 }) => {
      const before = highest.get(stream) ?? 0;
      highest.set(stream, Math.max(before, leaseEpoch));
      return leaseEpoch < before;
    });
};
