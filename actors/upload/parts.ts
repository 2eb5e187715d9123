/** The parts of the upload actor, put together. */
import { join } from "node:path";
import { attachSource, getTitle } from "../../contracts/catalog.ts";
import { fail } from "../../contracts/errors.ts";
import { uploadAwaited } from "../../contracts/upload.ts";
import { announce, send, type Via } from "../../lib/actor/contract.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Config } from "../../lib/config/config.ts";
import { objectSettings } from "../../lib/config/object-settings.ts";
import type { Database } from "../../lib/db/database.ts";
import { Locks } from "../../lib/db/locks.ts";
import type { Log } from "../../lib/log/log.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import { openBucket } from "./fetch-s3.ts";
import { placeIn, yearIn } from "./metadata.ts";
import { openStaging } from "./staging.ts";
import { Tickets } from "./ticket.ts";
import type { UploadRow } from "./upload.store.ts";
import { type Holder, Uploads } from "./uploads.ts";

export interface PartsDeps {
  readonly config: Config;
  readonly broker: Via;
  readonly db: Database;
  readonly objects: ObjectStore;
  readonly clock: Clock;
  readonly log: Log;
}

/** Of a configuration without an S3 server: Amazon's. */
const s3Of = (config: Config) => {
  const { objectS3Region: region, objectS3Endpoint: endpoint } = config;
  const settings = objectSettings({ ...config, objectStore: "s3" });
  if (settings.kind === "s3") return settings;
  return { endpoint, region, credentials: null, pathStyle: false };
};

/** What the actor is made of. */
export const partsOf = (deps: PartsDeps) => {
  const { config, broker, db, objects, clock, log } = deps;
  const settings = objectSettings(config);
  const root = settings.kind === "filesystem" ? settings.root : config.dataDir;
  const staging = openStaging(objects, join(root, ".uploads"));
  const mustBeTitle = async (holder: Holder, titleId: string): Promise<void> => {
    const { data } = await send(broker, getTitle, { titleId }, holder);
    // One that another tenant licenses is seen, and its source is not the licensee's to bring.
    if (data.ownerTenant !== undefined) fail("TITLE_NOT_FOUND", { titleId });
  };
  const { uploadBytesMax: bytesMax, uploadQuotaBytes: quotaBytes, uploadExpiresMs: expiresMs } = config;
  const uploads = new Uploads({ db, objects, staging, bytesMax, quotaBytes, mustBeTitle });
  const awaited = (uploadId: string) => announce(broker, uploadAwaited, { uploadId });
  const locks = new Locks({
    ...{ url: db.url, applicationName: `castellan-uploads:${config.nodeId}`, kind: "upload" },
    ...{ log, awaited, busy: "UPLOAD_BUSY" },
  });
  const tickets = new Tickets({ db, clock });
  const { endpoint, region, credentials, pathStyle } = s3Of(config);
  const bucket = (name: string) => openBucket({ endpoint, region, credentials, pathStyle }, name, log);
  return { staging, uploads, locks, tickets, expiresMs, bytesMax, openBucket: bucket };
};

/** The title of a source; the catalog makes one where the upload names none. */
export const attachWith =
  (broker: Via) =>
  async (holder: Holder, row: UploadRow, path: string): Promise<string> => {
    const { id: sourceId, titleId, filename, titleKind: kind, offset: sizeBytes } = row;
    const name = row.name === null ? {} : { name: row.name };
    const year = yearIn(row.metadata);
    const place = placeIn(row.metadata);
    const more = { ...name, ...(year === null ? {} : { year }), ...(place === null ? {} : { place }) };
    const source = { titleId, sourceId, path, sizeBytes, filename, kind, ...more };
    return (await send(broker, attachSource, source, holder)).titleId;
  };
