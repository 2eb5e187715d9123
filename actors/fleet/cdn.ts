/**
 * Configurations of CDN customers, as revisions. Each is checked whole, signed once, and then the same bytes for every
 * edge. A revision's number is one more than the last, or the wall clock in seconds where that is higher: so it also
 * grows over a database that was restored, and edges that never go back follow.
 */
import { EdgeConfig } from "../../contracts/edge-config.ts";
import { type FieldError, fail } from "../../contracts/errors.ts";
import { PublishedConfig, type SignedConfig } from "../../contracts/fleet.ts";
import type { Clock } from "../../lib/clock.ts";
import { newSigningPair, type SigningPair, signText } from "../../lib/crypto/ed25519.ts";
import { serverCertificate } from "../../lib/crypto/server-certificate.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import { FIELD_ERRORS_MAX, fieldErrors } from "../../lib/field-errors.ts";
import { idAfter, pageOf } from "../../lib/page.ts";
import * as store from "./cdn.store.ts";
import { withKeptSecrets, withoutSecrets } from "./cdn-secrets.ts";
import { allTenants } from "./fleet.store.ts";

/** Whoever publishes every minute can still go back an hour and a half. */
const REVISIONS_MAX = 100;
const NOTHING: EdgeConfig = { customers: [] };

export interface CdnDeps {
  readonly db: Database;
  readonly clock: Clock;
  /** A revision was published. */
  readonly published: (revision: number) => void;
}
interface IfVersion {
  readonly ifVersion?: number | undefined;
}
/** What a published revision is made of. */
interface Content extends EdgeConfig {
  readonly rollbackOf: number | null;
}
interface Outcome {
  readonly row: store.RevisionRow | undefined;
  readonly published: boolean;
}

const refuse = (errors: readonly FieldError[]): void => {
  if (errors.length > 0) fail("BAD_INPUT", { errors: errors.slice(0, FIELD_ERRORS_MAX) });
};

const checked = (value: unknown): EdgeConfig => {
  const parsed = EdgeConfig.safeParse(value);
  return parsed.success ? parsed.data : fail("BAD_INPUT", { errors: fieldErrors(parsed.error) });
};

const customersOf = ({ document }: store.ConfigRow): unknown => PublishedConfig.parse(JSON.parse(document)).customers;
/** The content of a row. */
const contentOf = (row: store.ConfigRow): EdgeConfig => checked({ customers: customersOf(row) });
/** What secrets are kept from; a revision that this version refuses must not stand in the way of the next one. */
const formerOf = (row: store.ConfigRow | undefined): EdgeConfig =>
  (row && EdgeConfig.safeParse({ customers: customersOf(row) }).data) ?? NOTHING;

/** Pairs that came as text; files are on the edges, which look at them. */
const certificateErrors = ({ customers }: EdgeConfig): FieldError[] =>
  customers.flatMap(({ sites }, customerIndex) =>
    sites.flatMap(({ certificate }, siteIndex) => {
      if (certificate?.cert === undefined || certificate.key === undefined) return [];
      const made = serverCertificate(certificate.cert, certificate.key);
      if (typeof made !== "string") return [];
      return [{ path: `customers.${customerIndex}.sites.${siteIndex}.certificate`, message: made }];
    }),
  );

const tenantErrors = async (tx: Tx, { customers }: EdgeConfig): Promise<FieldError[]> => {
  const slugs = new Set((await allTenants(tx)).map(({ slug }) => slug));
  return customers.flatMap(({ tenant }, index) =>
    tenant === undefined || slugs.has(tenant)
      ? []
      : [{ path: `customers.${index}.tenant`, message: `there is no tenant ${tenant}` }],
  );
};

const shown = (row: store.RevisionRow | undefined) => ({
  revision: row?.revision ?? 0,
  publishedAt: row?.publishedAt.toISOString() ?? null,
  rollbackOf: row?.rollbackOf ?? null,
});
const written = ({ row, published }: Outcome) => ({ ...shown(row), version: row?.revision ?? 0, published });

export class CdnConfigs {
  readonly #deps: CdnDeps;

  constructor(deps: CdnDeps) {
    this.#deps = deps;
  }

  /** Fails with BAD_INPUT (a complaint per field) or VERSION_CONFLICT; the same content again changes nothing. */
  async publish({ customers, dryRun, ifVersion }: EdgeConfig & IfVersion & { readonly dryRun: boolean }) {
    return this.#write(ifVersion, async (tx, newest) => {
      const { config, errors } = withKeptSecrets({ customers }, formerOf(newest));
      refuse(errors);
      const whole = checked(config);
      refuse([...certificateErrors(whole), ...(await tenantErrors(tx, whole))]);
      return dryRun ? undefined : { ...whole, rollbackOf: null };
    });
  }

  /** Fails with CDN_REVISION_NOT_FOUND, VERSION_CONFLICT, or BAD_INPUT where a tenant in it is gone meanwhile. */
  async rollback({ revision, ifVersion }: IfVersion & { readonly revision: number }) {
    return this.#write(ifVersion, async (tx) => {
      const former = await store.configOf(tx, revision);
      if (!former) return fail("CDN_REVISION_NOT_FOUND", { revision });
      const content = contentOf(former);
      refuse(await tenantErrors(tx, content));
      return { ...content, rollbackOf: revision };
    });
  }

  /** The newest, or a former one; without its secrets. */
  async get(revision?: number) {
    return this.#deps.db.tenantTx(null, async (tx) => {
      const { publicKey } = await store.signingPair(tx, newSigningPair);
      const row = revision === undefined ? await store.newestConfig(tx) : await store.configOf(tx, revision);
      if (!row && revision !== undefined) return fail("CDN_REVISION_NOT_FOUND", { revision });
      const { customers } = withoutSecrets(row ? contentOf(row) : NOTHING);
      const revisions = (await store.revisions(tx)).map(shown);
      return { ...shown(row), version: row?.revision ?? 0, publicKey, customers, revisions };
    });
  }

  /** The newest as edges get it; null where they have it. */
  async signedAfter(haveRevision: number): Promise<SignedConfig | null> {
    const { db } = this.#deps;
    const row = await store.configAfter(db, haveRevision);
    if (!row) return null;
    const { publicKey } = await store.signingPair(db, newSigningPair);
    return { text: row.document, signature: row.signature, publicKey };
  }

  async acknowledge(ack: Omit<store.AckRow, "id" | "acknowledgedAt">): Promise<void> {
    await store.setAck(this.#deps.db, { ...ack, acknowledgedAt: new Date(this.#deps.clock.nowMs()) });
  }

  async acks({
    revision,
    cursor,
    limit,
  }: {
    revision?: number | undefined;
    cursor?: string | undefined;
    limit: number;
  }) {
    const page = { revision: revision ?? null, afterId: idAfter("cdn-acks", cursor), limit: limit + 1 };
    const { rows, nextCursor } = pageOf("cdn-acks", await store.acks(this.#deps.db, page), limit);
    const data = rows.map(({ id: _, acknowledgedAt, ...ack }) => ({
      ...ack,
      acknowledgedAt: acknowledgedAt.toISOString(),
    }));
    return { data, nextCursor };
  }

  /** Behind the lock: what `make` is shown is the newest, and what it gives becomes the next (undefined: nothing). */
  async #write(
    ifVersion: number | undefined,
    make: (tx: Tx, newest: store.ConfigRow | undefined) => Promise<Content | undefined>,
  ) {
    const outcome = await this.#deps.db.tenantTx(null, async (tx): Promise<Outcome> => {
      const pair = await store.signingPair(tx, newSigningPair);
      await store.lockConfigs(tx);
      const newest = await store.newestConfig(tx);
      const version = newest?.revision ?? 0;
      if (ifVersion !== undefined && ifVersion !== version) fail("VERSION_CONFLICT", { version });
      const content = await make(tx, newest);
      if (!content || (newest && isSame(content, newest))) return { row: newest, published: false };
      const row = this.#sign(pair, content, version);
      await store.addConfig(tx, row);
      await store.dropOldConfigs(tx, REVISIONS_MAX);
      return { row, published: true };
    });
    if (outcome.published && outcome.row) this.#deps.published(outcome.row.revision);
    return written(outcome);
  }

  #sign({ privateKey }: SigningPair, { rollbackOf, customers }: Content, before: number): store.ConfigRow {
    const nowMs = this.#deps.clock.nowMs();
    const revision = Math.max(before + 1, Math.floor(nowMs / 1_000));
    const publishedAt = new Date(nowMs);
    const published: PublishedConfig = {
      kind: "castellan.edge-config",
      revision,
      publishedAt: publishedAt.toISOString(),
      rollbackOf,
      customers,
    };
    const document = JSON.stringify(published);
    return { revision, document, signature: signText(privateKey, document), rollbackOf, publishedAt };
  }
}

/** By the words of both, in the order that the contract gives them. */
const isSame = ({ customers }: Content, newest: store.ConfigRow): boolean =>
  JSON.stringify(customers) === JSON.stringify(customersOf(newest));
