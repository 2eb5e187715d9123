/** What container files, Compose's and Kubernetes's, are held to: the program's own variables, ports and image. */
import type { Settings } from "../lib/config/config.ts";
import { VARIABLES } from "../lib/config/variables.ts";

const KNOWN = new Set<string>(Object.values(VARIABLES).map(({ env }) => env));

/** Names among a container's variables that the program would not look at. */
export const unknownVariables = (environment: Readonly<Record<string, string>>): string[] =>
  Object.keys(environment).filter((name) => !KNOWN.has(name));

/** The port of a process of one role that answers /livez and /readyz. */
export const ownPort = (settings: Settings): number | null => {
  const { port: gateway, edgePort: edge, streamerPort: streamer, packagerPort: packager } = settings;
  const ports = { gateway, edge, streamer, packager };
  return settings.roles[0] === "control" || !settings.roles[0] ? settings.healthPort : ports[settings.roles[0]];
};

/** An image with a version after its name. */
export const PINNED_IMAGE = /^[\w./-]+:\d+\.\d+/;
