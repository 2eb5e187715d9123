/** A control process that a test may kill: starts the control actors and sends one ask. Settings: JSON in argv. */
import { createChannel, deleteChannel } from "../../contracts/channel.ts";
import { openDatabase } from "../../lib/db/database.ts";
import { startControl, type Tenant } from "./control.ts";

interface Settings {
  readonly url: string;
  readonly nodeId: string;
  readonly tenant: Tenant;
  readonly order: { readonly create: Parameters<typeof JSON.stringify>[0] } | { readonly delete: number };
}

const { url, nodeId, tenant, order } = JSON.parse(process.argv[2] ?? "") as Settings;
const db = openDatabase({ url, applicationName: nodeId });
const control = await startControl({ db, tenant, nodeId, ordinals: 0 });
const answer =
  "create" in order
    ? control.ask(createChannel, order.create)
    : control.ask(deleteChannel, { channelId: order.delete });
await answer.then(
  () => process.stdout.write("answered\n"),
  (error: unknown) => process.stdout.write(`refused ${(error as { code?: string }).code ?? String(error)}\n`),
);
