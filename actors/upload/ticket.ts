/**
 * Tickets: how a gateway, which knows keys, tells an upload listener whose request it passes on. An HMAC under a key
 * that all nodes have in the database, so that any listener takes what any node gave out.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { fail } from "../../contracts/errors.ts";
import { TenantId, TenantSlug } from "../../contracts/ids.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import { ticketKey } from "./upload.store.ts";

/** What a ticket goes along as. */
export const TICKET_HEADER = "x-castellan-ticket";
const TICKET_MS = 60_000; // asked for with every request: clocks of nodes may differ by as much
const TICKET_CHARS_MAX = 500;
const KEY_BYTES = 32;

const Holder = z.object({ tenantId: TenantId, tenant: TenantSlug, untilMs: z.int() });
export type TicketHolder = Pick<z.output<typeof Holder>, "tenantId" | "tenant">;

const macOf = (key: Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();

const holderIn = (text: string): z.output<typeof Holder> | undefined => {
  try {
    return Holder.safeParse(JSON.parse(Buffer.from(text, "base64url").toString("utf8"))).data;
  } catch {
    return undefined;
  }
};

export class Tickets {
  readonly #db: Database;
  readonly #clock: Clock;
  #key: Promise<Buffer> | undefined;

  constructor({ db, clock }: { readonly db: Database; readonly clock: Clock }) {
    this.#db = db;
    this.#clock = clock;
  }

  async issue({ tenantId, tenant }: TicketHolder): Promise<string> {
    const holder = { tenantId, tenant, untilMs: this.#clock.nowMs() + TICKET_MS };
    const text = Buffer.from(JSON.stringify(holder)).toString("base64url");
    return `${text}.${macOf(await this.#keyed(), text).toString("base64url")}`;
  }

  /** Fails with UNAUTHENTICATED for a ticket that is forged or too old. */
  async holderOf(ticket: string | undefined): Promise<TicketHolder> {
    if (ticket === undefined || ticket.length > TICKET_CHARS_MAX) return fail("UNAUTHENTICATED");
    const [text = "", mac = "", ...more] = ticket.split(".");
    const given = Buffer.from(mac, "base64url");
    const due = macOf(await this.#keyed(), text);
    if (more.length > 0 || given.length !== due.length || !timingSafeEqual(given, due)) return fail("UNAUTHENTICATED");
    const holder = holderIn(text);
    if (!holder || holder.untilMs < this.#clock.nowMs()) return fail("UNAUTHENTICATED");
    return holder;
  }

  /** A failure is not remembered. */
  #keyed(): Promise<Buffer> {
    this.#key ??= this.#db
      .tenantTx(null, (tx) => ticketKey(tx, randomBytes(KEY_BYTES)))
      .catch((error: unknown) => {
        this.#key = undefined;
        throw error;
      });
    return this.#key;
  }
}
