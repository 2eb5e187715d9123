import { setTimeout as pause } from "node:timers/promises";
import { Transporters } from "moleculer";
import { Events, type NatsConnection } from "nats";

const GOODBYE_MS = 1_000; // a server that is there takes what is left within milliseconds

interface Peer {
  readonly id: string;
  readonly local: boolean;
  available: boolean;
}
/** What is used of Moleculer's transporter and registry and is not in their types (0.15.2, pinned). */
interface NatsBase {
  client: NatsConnection | null;
  connected: boolean;
  readonly broker: {
    broadcastLocal(event: string, payload: unknown): void;
    servicesChanged(local: boolean): void;
    readonly registry: {
      readonly nodes: { toArray(): Peer[] };
      unregisterServicesByNode(nodeId: string): void;
    };
  };
  connect(): Promise<unknown>;
  disconnect(): Promise<void> | undefined;
  onConnected(wasReconnect?: boolean): Promise<unknown>;
}
const Base = Transporters.NATS as unknown as new (options: object) => NatsBase;

/**
 * Moleculer's NATS transporter believes itself connected while its client reconnects: calls hang until their deadline
 * and all nodes declare each other dead. This one tells the truth: calls fail at once (BUS_DOWN), and work again as
 * soon as both ends are back.
 */
export class NatsTransporter extends Base {
  override async connect(): Promise<unknown> {
    const connected = await super.connect();
    if (this.client) void this.#follow(this.client);
    return connected;
  }

  /** A server that has frozen takes no goodbye: whoever ends must not wait for it. */
  override async disconnect(): Promise<void> {
    const { client } = this;
    if (!client) return;
    await Promise.race([client.flush().catch(() => {}), pause(GOODBYE_MS, undefined, { ref: false })]);
    await client.close();
    this.client = null;
  }

  async #follow(client: NatsConnection): Promise<void> {
    for await (const { type } of client.status()) {
      if (type === Events.Disconnect) {
        this.connected = false;
        this.broker.broadcastLocal("$transporter.disconnected", { graceFul: false });
      } else if (type === Events.Reconnect) {
        this.#doubtPeers();
        await this.onConnected(true);
      }
    }
  }

  /**
   * A peer may come back later than we, or never: a call published to it meanwhile would hang until its deadline. So it
   * counts again when it has been heard, which its own return or our question brings about. Calls that wait for an
   * answer wait on: it may still come.
   */
  #doubtPeers(): void {
    const { registry } = this.broker;
    for (const peer of registry.nodes.toArray()) {
      if (peer.local || !peer.available) continue;
      peer.available = false;
      registry.unregisterServicesByNode(peer.id);
    }
    this.broker.servicesChanged(false);
  }
}
