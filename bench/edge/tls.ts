/** TLS 1.3 with bodies of 1.5 MB, by wrk: CPU per GB. */
import { once } from "node:events";
import { connect } from "node:net";
import { findProgram } from "../../test/support/server-process.ts";
import { ratio, type Sample } from "../http-load.fixture.ts";
import { wrk } from "../load.fixture.ts";
import type { Row } from "../report.ts";
import { LARGE, pathsOf, warm } from "./hits.ts";
import { cpuPerGb, endedSeconds, foreignOf, inTurn, meterOf, perSecond, rowsOf, SAMPLE_MS } from "./measure.ts";
import type { CacheServer } from "./server.ts";
import type { Figure, Stage } from "./stage.ts";

const CONNECTIONS = 64;
const WARM_SECONDS = 1;
/** Its 64 handshakes are in the sample: 1 % of three seconds. */
const SECONDS_MIN = 3;
const SECONDS = Math.max(SECONDS_MIN, Math.round(SAMPLE_MS / 1000));

const sampleOf = async (server: CacheServer, pids: readonly number[]): Promise<Sample> => {
  const load = { url: `https://127.0.0.1:${server.tlsPort}`, paths: pathsOf(LARGE), connections: CONNECTIONS };
  await wrk(server.pid, { ...load, seconds: WARM_SECONDS });
  const [meter, ended] = [meterOf(pids), endedSeconds()];
  meter.start();
  const { perSecond: rate, p99Ms } = await wrk(server.pid, { ...load, seconds: SECONDS });
  meter.stop();
  const cpuUs = (meter.serverSeconds() / (rate * SECONDS)) * 1e6;
  return { perSecond: rate, cpuUs, p99Ms, foreignCores: meter.foreignCores(endedSeconds() - ended) };
};

/** Throws when nobody does. */
const listens = async (port: number): Promise<void> => {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
  } catch (error) {
    throw new Error("it does not listen with TLS", { cause: error });
  } finally {
    socket.destroy();
  }
};

const rows = async ({ servers, hitch }: Stage): Promise<Row[]> => {
  if (findProgram("wrk") === undefined) throw new Error("needs wrk");
  const varnish = servers.find(({ name }) => name === "Varnish");
  const compared = [...servers.filter(({ tlsPort }) => tlsPort !== undefined), ...(hitch ? [hitch] : [])];
  const behind = (server: CacheServer): CacheServer => (server === hitch && varnish ? varnish : server);
  const samples = await inTurn(compared, {
    prepare: async (server) => {
      await listens(server.tlsPort ?? 0);
      await warm(behind(server), LARGE);
    },
    sample: (server) => sampleOf(server, [...new Set([server.pid, behind(server).pid])]),
  });
  return rowsOf(samples, {
    what: `TLS 1.3, hot hit of 1.5 MB, ${CONNECTIONS} connections, ${foreignOf(samples)}`,
    goals: { nginx: "≤ 0.55×", ATS: "", hitch: "" },
    labels: { hitch: "Varnish behind hitch" },
    shown: (of) => `${cpuPerGb(of, LARGE.sizeBytes)}, ${perSecond(of)}`,
    beside: (ours, theirs) => `${ratio(ours, theirs, "cpuUs").toFixed(2)}× CPU per GB`,
  });
};

export const TLS: readonly Figure[] = [{ name: "tls", group: "TLS", rows }];
