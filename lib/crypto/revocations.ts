/**
 * What was revoked before its time: sessions, and titles with all that was begun of them before an instant. As a list
 * of bytes it goes over the bus, to an edge's threads and onto its disk. Each entry is known until the last token that
 * it concerns has expired, and no longer: it is time that bounds their number.
 */
export interface Revocation {
  readonly kind: "session" | "title";
  /** UUID of the session, or of the title; its hyphens may be left out. */
  readonly id: string;
  /** Since 1970. Of a title: what was begun before them is over. */
  readonly beforeSeconds: number;
  /** Since 1970. Then no token is left that it concerns. */
  readonly untilSeconds: number;
}

/** Kind, id, before, until. */
export const REVOCATION_BYTES = 1 + 16 + 4 + 4;
/** Of sessions in memory: about 110 bytes each, in every thread of an edge. */
export const REVOCATIONS_MAX = 1_000_000;
const [SESSION, TITLE] = [0, 1];
/** Longer than that: clocks differ. */
const KEPT_SECONDS = 60;

const digitsOf = (uuid: string): string => uuid.replaceAll("-", "");

/** As bytes, one after the other. */
export const revocationBytes = (all: readonly Revocation[]): Buffer => {
  const bytes = Buffer.alloc(all.length * REVOCATION_BYTES);
  for (const [index, { kind, id, beforeSeconds, untilSeconds }] of all.entries()) {
    const at = index * REVOCATION_BYTES;
    bytes[at] = kind === "session" ? SESSION : TITLE;
    bytes.write(digitsOf(id), at + 1, "hex");
    bytes.writeUInt32BE(beforeSeconds, at + 17);
    bytes.writeUInt32BE(untilSeconds, at + 21);
  }
  return bytes;
};

/**
 * What `revocationBytes` made, ids without hyphens. A kind that only a newer node knows, or an entry that is cut short,
 * is left out.
 */
export function* revocationsIn(bytes: Uint8Array): Generator<Revocation> {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + REVOCATION_BYTES <= all.length; at += REVOCATION_BYTES) {
    const kind = all[at] === SESSION ? "session" : "title";
    if (kind === "title" && all[at] !== TITLE) continue;
    const [beforeSeconds, untilSeconds] = [all.readUInt32BE(at + 17), all.readUInt32BE(at + 21)];
    yield { kind, id: all.toString("hex", at + 1, at + 17), beforeSeconds, untilSeconds };
  }
}

interface Ended {
  readonly beforeSeconds: number;
  readonly untilSeconds: number;
}

export class Revocations {
  /** Until when each is known. By the 32 digits of the UUID: a text of one piece takes a fifth of the memory. */
  readonly #sessions = new Map<string, number>();
  readonly #titles = new Map<string, Ended>();
  #sweptSeconds = 0;

  get count(): number {
    return this.#sessions.size + this.#titles.size;
  }

  /** In the form of `revocationBytes`. `nowMs`: since 1970. */
  add(bytes: Uint8Array, nowMs: number): void {
    const nowSeconds = nowMs / 1_000;
    this.#sweep(nowSeconds);
    for (const { kind, id, beforeSeconds, untilSeconds } of revocationsIn(bytes)) {
      if (isOver(untilSeconds, nowSeconds)) continue;
      if (kind === "title") this.#end(id, { beforeSeconds, untilSeconds });
      else this.#sessions.set(id, Math.max(untilSeconds, this.#sessions.get(id) ?? 0));
    }
    this.#limit();
  }

  hasSession(sessionId: string): boolean {
    return this.#sessions.size > 0 && this.#sessions.has(digitsOf(sessionId));
  }

  /** Whoever began to play a title before these seconds since 1970 is let in no more. 0: everybody is. */
  titleEndedSeconds(contentId: string): number {
    return this.#titles.size === 0 ? 0 : (this.#titles.get(digitsOf(contentId))?.beforeSeconds ?? 0);
  }

  /** All of it. */
  bytes(): Buffer {
    const sessions = Array.from(this.#sessions, ([id, untilSeconds]): Revocation => {
      return { kind: "session", id, beforeSeconds: 0, untilSeconds };
    });
    const titles = Array.from(this.#titles, ([id, ended]): Revocation => ({ kind: "title", id, ...ended }));
    return revocationBytes([...sessions, ...titles]);
  }

  #end(id: string, { beforeSeconds, untilSeconds }: Ended): void {
    const former = this.#titles.get(id);
    this.#titles.set(id, {
      beforeSeconds: Math.max(beforeSeconds, former?.beforeSeconds ?? 0),
      untilSeconds: Math.max(untilSeconds, former?.untilSeconds ?? 0),
    });
  }

  #sweep(nowSeconds: number): void {
    if (nowSeconds - this.#sweptSeconds < KEPT_SECONDS) return;
    this.#sweptSeconds = nowSeconds;
    for (const [id, untilSeconds] of this.#sessions) if (isOver(untilSeconds, nowSeconds)) this.#sessions.delete(id);
    for (const [id, ended] of this.#titles) if (isOver(ended.untilSeconds, nowSeconds)) this.#titles.delete(id);
  }

  /** The oldest sessions go: the key server still gives them nothing. */
  #limit(): void {
    for (const id of this.#sessions.keys()) {
      if (this.count <= REVOCATIONS_MAX) return;
      this.#sessions.delete(id);
    }
  }
}

const isOver = (untilSeconds: number, nowSeconds: number): boolean => untilSeconds + KEPT_SECONDS <= nowSeconds;
