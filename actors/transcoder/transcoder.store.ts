/** The transcoder's tables. Everything here runs in a transaction of the title's tenant. */

import type { z } from "zod";
import type { SetSubtitles } from "../../contracts/content-set.ts";
import type { Tx } from "../../lib/db/database.ts";
import type { Plan } from "./plan.ts";

/** One transcode: a revision of a title. */
export interface Key {
  readonly tenantId: string;
  readonly titleId: string;
  readonly revision: number;
}
export type TranscodeState = "planning" | "encoding" | "stitching" | "complete" | "failed" | "cancelled";
export interface Transcode extends Key {
  readonly state: TranscodeState;
  /** In the bucket `sources`. */
  readonly sourcePath: string;
  readonly encryption: "aes-128" | "cbcs" | "cenc" | "none";
  readonly codec: "h264" | "hevc" | "all" | null;
  /** In the bucket `segments`: what is read instead of the source. */
  readonly inputPath: string | null;
  readonly plan: Plan | null;
  readonly audioDone: boolean;
  readonly audioPath: string | null;
  /** Sound of the first `HEAD_SECONDS`, until all of it is there. */
  readonly audioHeadPath: string | null;
  readonly subtitlesDone: boolean;
  readonly subtitles: readonly z.output<typeof SetSubtitles>[];
  /** Of captions inside of the picture: none was seen, they are to be read, or they were. */
  readonly captions: "none" | "wanted" | "done";
  readonly storyboardPath: string | null;
  readonly chunksTold: number;
  readonly isPlayable: boolean;
  /** The job that could not be done; null: it has not failed. */
  readonly failedJobId: string | null;
}
export interface ChunkRow {
  readonly index: number;
  readonly from: number;
  readonly until: number;
  /** By rung; null until they are there. */
  readonly paths: Readonly<Record<string, string>> | null;
}
export interface RungRow {
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
}

const COLUMNS = `tenant_id as "tenantId", title_id as "titleId", revision, state, source_path as "sourcePath",
  encryption, codec, input_path as "inputPath", plan, audio_done as "audioDone", audio_path as "audioPath",
  audio_head_path as "audioHeadPath",
  subtitles_done as "subtitlesDone", subtitles, captions, storyboard_path as "storyboardPath",
  chunks_told as "chunksTold", playable_at is not null as "isPlayable", failure->>'jobId' as "failedJobId"`;
const OF_KEY = "tenant_id = $1 and title_id = $2 and revision = $3";
const keyValues = ({ tenantId, titleId, revision }: Key): unknown[] => [tenantId, titleId, revision];

/** False: this revision, or a newer one, is there already. */
export const insertTranscode = async (
  tx: Tx,
  key: Key,
  source: Pick<Transcode, "sourcePath" | "encryption" | "codec">,
): Promise<boolean> => {
  const { rowCount } = await tx.query(
    `insert into transcode (tenant_id, title_id, revision, source_path, encryption, codec)
     select $1, $2, $3, $4, $5, $6
     where not exists (select from transcode where tenant_id = $1 and title_id = $2 and revision > $3)
     on conflict do nothing`,
    [...keyValues(key), source.sourcePath, source.encryption, source.codec],
  );
  return rowCount === 1;
};

export const findTranscode = async (tx: Tx, key: Key): Promise<Transcode | null> => {
  const { rows } = await tx.query<Transcode>(`select ${COLUMNS} from transcode where ${OF_KEY}`, keyValues(key));
  return rows[0] ?? null;
};
/** Everybody who changes what becomes of a transcode comes one after the other. */
export const lockTranscode = async (tx: Tx, key: Key): Promise<Transcode | null> => {
  const { rows } = await tx.query<Transcode>(
    `select ${COLUMNS} from transcode where ${OF_KEY} for update`,
    keyValues(key),
  );
  return rows[0] ?? null;
};

const set = (tx: Tx, key: Key, assignments: string, values: readonly unknown[]) =>
  tx.query(`update transcode set ${assignments}, updated_at = now() where ${OF_KEY}`, [...keyValues(key), ...values]);

export const enterState = async (tx: Tx, key: Key, state: TranscodeState): Promise<void> => {
  await set(tx, key, "state = $4", [state]);
};
export const setFailed = async (
  tx: Tx,
  key: Key,
  failure: { readonly code: string; readonly reason: string; readonly jobId: string },
): Promise<void> => {
  await set(tx, key, "state = 'failed', failure = $4::jsonb", [JSON.stringify(failure)]);
};
/** As it was before it was planned. */
export const restartTranscode = async (tx: Tx, key: Key): Promise<void> => {
  for (const table of ["transcode_chunk", "transcode_rung"]) {
    await tx.query(`delete from ${table} where ${OF_KEY}`, keyValues(key));
  }
  await set(
    tx,
    key,
    `state = 'planning', failure = null, plan = null, input_path = null, audio_done = false, audio_path = null,
     audio_head_path = null, subtitles_done = false, subtitles = '[]', captions = 'none', storyboard_path = null,
     chunks_told = 0, playable_at = null`,
    [],
  );
};
export const setPlan = async (
  tx: Tx,
  key: Key,
  { plan, inputPath }: { readonly plan: Plan; readonly inputPath: string | null },
): Promise<void> => {
  await set(tx, key, "state = 'encoding', plan = $4::jsonb, input_path = $5", [JSON.stringify(plan), inputPath]);
};
export const setAudio = async (tx: Tx, key: Key, audioPath: string | null): Promise<void> => {
  await set(tx, key, "audio_done = true, audio_path = $4", [audioPath]);
};
export const setAudioHead = async (tx: Tx, key: Key, path: string): Promise<void> => {
  await set(tx, key, "audio_head_path = $4", [path]);
};
/** Behind those that are there: the number of a track is part of its address. */
export const addSubtitles = async (
  tx: Tx,
  key: Key,
  subtitles: readonly Omit<Transcode["subtitles"][number], "id">[],
): Promise<void> => {
  const there = (await lockTranscode(tx, key))?.subtitles ?? [];
  const all = [...there, ...subtitles.map((text, i) => ({ id: there.length + i, ...text }))];
  await set(tx, key, "subtitles = $4::jsonb", [JSON.stringify(all)]);
};
export const setSubtitlesDone = async (tx: Tx, key: Key): Promise<void> => {
  await set(tx, key, "subtitles_done = true", []);
};
export const setCaptions = async (tx: Tx, key: Key, captions: Transcode["captions"]): Promise<void> => {
  await set(tx, key, "captions = $4", [captions]);
};
export const setStoryboard = async (tx: Tx, key: Key, path: string): Promise<void> => {
  await set(tx, key, "storyboard_path = $4", [path]);
};
/** True for the first time. */
export const setPlayable = async (tx: Tx, key: Key): Promise<boolean> => {
  const { rowCount } = await tx.query(
    `update transcode set playable_at = now() where ${OF_KEY} and playable_at is null`,
    keyValues(key),
  );
  return rowCount === 1;
};
/** The number of the next writing of set.json. */
export const nextSetSerial = async (tx: Tx, key: Key, chunksTold: number): Promise<number> => {
  const { rows } = await tx.query<{ serial: number }>(
    `update transcode set chunks_told = $4, set_serial = set_serial + 1 where ${OF_KEY} returning set_serial as serial`,
    [...keyValues(key), chunksTold],
  );
  return rows[0]?.serial ?? 0;
};

export const insertChunks = async (tx: Tx, key: Key, chunks: readonly Omit<ChunkRow, "paths">[]): Promise<void> => {
  await tx.query(
    `insert into transcode_chunk (tenant_id, title_id, revision, chunk_index, from_frame, until_frame)
     select $1, $2, $3, * from unnest($4::int[], $5::int[], $6::int[])`,
    [...keyValues(key), chunks.map(({ index }) => index), chunks.map(({ from }) => from), chunks.map((c) => c.until)],
  );
};
export const setChunk = async (tx: Tx, key: Key, index: number, paths: Record<string, string>): Promise<void> => {
  await tx.query(`update transcode_chunk set paths = $5::jsonb where ${OF_KEY} and chunk_index = $4`, [
    ...keyValues(key),
    index,
    JSON.stringify(paths),
  ]);
};
/** In their order. */
export const listChunks = async (tx: Tx, key: Key): Promise<ChunkRow[]> => {
  const { rows } = await tx.query<ChunkRow>(
    `select chunk_index as index, from_frame as from, until_frame as until, paths from transcode_chunk
     where ${OF_KEY} order by chunk_index`,
    keyValues(key),
  );
  return rows;
};

export const setRung = async (tx: Tx, key: Key, rung: RungRow): Promise<void> => {
  await tx.query(
    `insert into transcode_rung (tenant_id, title_id, revision, name, path, size_bytes)
     values ($1, $2, $3, $4, $5, $6)
     on conflict (tenant_id, title_id, revision, name)
     do update set path = excluded.path, size_bytes = excluded.size_bytes`,
    [...keyValues(key), rung.name, rung.path, rung.sizeBytes],
  );
};
export const listRungs = async (tx: Tx, key: Key): Promise<RungRow[]> => {
  const { rows } = await tx.query<RungRow>(
    `select name, path, size_bytes as "sizeBytes" from transcode_rung where ${OF_KEY}`,
    keyValues(key),
  );
  return rows;
};

/** Transcodes of a title that still go on, or that a replay could bring back, but for one revision. */
export const listUnended = async (tx: Tx, key: Key): Promise<number[]> => {
  const { rows } = await tx.query<{ revision: number }>(
    `select revision from transcode where tenant_id = $1 and title_id = $2 and revision <> $3
     and state not in ('complete', 'cancelled') for update`,
    keyValues(key),
  );
  return rows.map(({ revision }) => revision);
};
export const deleteTranscodes = async (tx: Tx, { tenantId, titleId }: Omit<Key, "revision">): Promise<void> => {
  await tx.query("delete from transcode where tenant_id = $1 and title_id = $2", [tenantId, titleId]);
};
/** Writers of one title's set.json come one after the other, in all processes, until the transaction ends. */
export const lockSet = async (tx: Tx, titleId: string): Promise<void> => {
  await tx.query("select pg_advisory_xact_lock(hashtextextended('set.json ' || $1, 0))", [titleId]);
};
