import { type BrokerOptions, ServiceBroker } from "moleculer";
import type { Log } from "../log/log.ts";
import { deadNodesService } from "./dead-nodes.ts";
import { NatsTransporter } from "./nats-transporter.ts";
import { tenantGuard } from "./tenant-guard.ts";

/** The part of the configuration that the broker needs. */
export interface BrokerConfig {
  readonly nodeId: string;
  /** Keeps installations that share a NATS server apart. */
  readonly namespace: string;
  /** One or more URLs, by commas; null: this process is alone and needs no bus. */
  readonly natsUrl: string | null;
  readonly roles?: readonly string[];
}

const REQUEST_TIMEOUT_MS = 5_000; // only for calls without a contract; an ask brings its own deadline
const HEARTBEAT_SECONDS = 2;
const HEARTBEAT_TIMEOUT_SECONDS = 6; // they route calls; ownership is decided by leases (placement.ts)
const STOP_WAIT_MS = 10_000;
const PENDING_MAX = 10_000;
const CALL_LEVEL_MAX = 10; // the ask graph has no cycle; this stops one that slipped in
const NATS_PING_MS = 5_000;
const NATS_RECONNECT_MS = 250;

const transporterOf = ({ nodeId, natsUrl }: BrokerConfig): Pick<BrokerOptions, "transporter"> => {
  if (natsUrl === null) return {};
  const transporter = new NatsTransporter({
    url: natsUrl,
    name: nodeId,
    pingInterval: NATS_PING_MS,
    maxPingOut: 2,
    reconnectTimeWait: NATS_RECONNECT_MS,
  });
  // Moleculer's type of a transporter lacks what its base class has.
  return { transporter: transporter as unknown as NonNullable<BrokerOptions["transporter"]> };
};

/** Moleculer's options, each with the reason where the default is a trap. */
export const brokerOptions = (config: BrokerConfig, log: Log): BrokerOptions => ({
  nodeID: config.nodeId,
  namespace: config.namespace,
  logger: {
    type: "Pino",
    options: {
      createLogger: (level: string, bindings: { mod?: string }) =>
        // Moleculer's own level is a floor: a log that says less stays as quiet as it is.
        log.child({ mod: bindings.mod }, log.isLevelEnabled(level) ? { level } : {}),
    },
  },
  logLevel: log.isLevelEnabled("debug") ? "debug" : "warn", // its info lines tell about every service of every node
  ...transporterOf(config),
  serializer: "CBOR",
  requestTimeout: REQUEST_TIMEOUT_MS, // default: never
  heartbeatInterval: HEARTBEAT_SECONDS,
  heartbeatTimeout: HEARTBEAT_TIMEOUT_SECONDS,
  // stop() waits for the calls in flight; without it SIGTERM under load rejects some of them
  tracking: { enabled: true, shutdownTimeout: STOP_WAIT_MS },
  retryPolicy: { enabled: false }, // repeats what must not run twice; `send` knows which asks may be
  registry: { preferLocal: true, stopDelay: 500 },
  transit: { maxQueueSize: PENDING_MAX },
  maxCallLevel: CALL_LEVEL_MAX,
  validator: false, // answers parse their input themselves
  metrics: false,
  tracing: false,
  internalServices: false,
  skipProcessEventRegistration: true, // else its own SIGTERM handler exits before ours has drained
  middlewares: [tenantGuard],
  metadata: { roles: config.roles ?? [] },
});

/** The broker of this process. `start()` resolves once it has reached the bus, and tries until then. */
export const makeBroker = ({ config, log }: { config: BrokerConfig; log: Log }): ServiceBroker => {
  const broker = new ServiceBroker(brokerOptions(config, log));
  broker.createService(deadNodesService(broker));
  return broker;
};
