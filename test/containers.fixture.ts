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
  const { healthPort: control, healthPort: transcoder } = settings;
  const ports = { gateway, edge, streamer, packager, control, transcoder };
  return settings.roles[0] ? ports[settings.roles[0]] : control;
};

/** An image with a version after its name. */
export const PINNED_IMAGE = /^[\w./-]+:(?:\d+\.\d+|RELEASE\.\d{4}-\d\d-\d\d)/;

/** What an operator fills in. */
export const SECRET: Readonly<Record<string, string>> = {
  POSTGRES_PASSWORD: "secret",
  DATABASE_URL: "postgres://castellan:secret@postgres:5432/castellan",
  ADMIN_API_KEY: "0123456789abcdef",
  CASTERPAK_S3_ACCESS_KEY_ID: "AKIAEXAMPLE",
  CASTERPAK_S3_SECRET_ACCESS_KEY: "secret",
  S3_ACCESS_KEY_ID: "castellan",
  S3_SECRET_ACCESS_KEY: "secret",
  MASTER_KEY: "ab".repeat(32),
  TMDB_TOKEN: "token",
};
