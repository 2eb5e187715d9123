/**
 * The broker's options for Moleculer's own tools (moleculer-runner, moleculer-repl), so that they can join a running
 * platform and look around. The product itself starts through main.ts, with the very same options.
 */
import { brokerOptions } from "./lib/actor/broker.ts";
import { loadConfig } from "./lib/config/config.ts";
import { makeLog } from "./lib/log/log.ts";

const config = loadConfig(process.env);

// biome-ignore lint/style/noDefaultExport: Moleculer's tools read the default export
export default brokerOptions(
  { ...config, nodeId: `${config.nodeId}-tools-${process.pid}` },
  makeLog({ level: config.logLevel, format: config.logFormat }),
);
