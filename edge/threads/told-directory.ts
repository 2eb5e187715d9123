/** Live channels as another thread tells of them. */
import type { Snapshot } from "../../contracts/fleet.ts";
import { type Channels, channelsOf, type KnownChannel, nameOf } from "../fleet/channels.ts";
import type { Directory } from "../node/live-server.ts";

export class ToldDirectory implements Directory {
  version = 0;
  #channels: Channels = new Map();
  readonly #look: () => Promise<void>;

  /** `look` asks for what is newer. */
  constructor(look: () => Promise<void>) {
    this.#look = look;
  }

  find(tenant: string, streamId: string): KnownChannel | undefined {
    return this.#channels.get(nameOf(tenant, streamId));
  }
  missed(): Promise<void> {
    return this.#look();
  }
  take(snapshot: Snapshot): void {
    this.#channels = channelsOf(snapshot, this.#channels);
    this.version = snapshot.version;
  }
}
