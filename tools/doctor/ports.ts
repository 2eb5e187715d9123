/** The ports that the roles of this process want. */
import { createServer } from "node:net";
import type { Settings } from "../../lib/config/config.ts";
import { bad, type Finding, inTime, ok } from "./finding.ts";

/** Which ports this process would take, with the variable that names each; 0 is left out. */
export const wantedPorts = (settings: Settings): { variable: string; port: number }[] => {
  const has = (role: Settings["roles"][number]): boolean => settings.roles.includes(role);
  const wanted: { variable: string; port: number }[] = [];
  if (has("gateway")) wanted.push({ variable: "PORT", port: settings.port });
  if (has("edge")) wanted.push({ variable: "EDGE_PORT", port: settings.edgePort });
  for (let i = 0; has("streamer") && settings.streamerPort !== 0 && i < settings.streamers; i += 1) {
    wanted.push({ variable: "STREAMER_PORT", port: settings.streamerPort + i });
  }
  if (settings.controlActors.includes("upload")) wanted.push({ variable: "UPLOAD_PORT", port: settings.uploadPort });
  if (has("packager")) wanted.push({ variable: "PACKAGER_PORT", port: settings.packagerPort });
  if (settings.healthPort !== null) wanted.push({ variable: "HEALTH_PORT", port: settings.healthPort });
  return wanted.filter(({ port }) => port !== 0);
};

const bindError = (host: string, port: number): Promise<NodeJS.ErrnoException | null> => {
  const { promise, resolve } = Promise.withResolvers<NodeJS.ErrnoException | null>();
  const server = createServer();
  server.once("error", resolve);
  server.listen(port, host, () => server.close(() => resolve(null)));
  return promise;
};

/** Castellan's own listeners answer /livez like this. */
const isOurs = async (host: string, port: number): Promise<boolean> => {
  const name = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : host;
  try {
    const response = await fetch(`http://${name}:${port}/livez`, { signal: AbortSignal.timeout(1000) });
    return (await response.text()).includes('"live":true');
  } catch {
    return false;
  }
};

const checkPort = async (host: string, variable: string, port: number): Promise<Finding> => {
  const subject = `port ${port}`;
  const error = await inTime(bindError(host, port));
  if (error === null) return ok(subject, `free on ${host} (${variable})`);
  switch (error.code) {
    case "EADDRINUSE":
      if (await isOurs(host, port)) return ok(subject, `in use by a Castellan that is running (${variable})`);
      return bad(subject, `in use by another program on ${host}`, `Stop it, or set ${variable} (0 takes a free port).`);
    case "EACCES":
      return bad(subject, "needs more rights than this user has", `Set ${variable} to a port from 1024 on.`);
    default:
      return bad(subject, `can't be opened on ${host}: ${error.message}`, "Set HOST to an address of this machine.");
  }
};

/** Each wanted port is free, or taken by a Castellan. */
export const checkPorts = (settings: Settings): Promise<Finding[]> =>
  Promise.all(wantedPorts(settings).map(({ variable, port }) => checkPort(settings.host, variable, port)));
