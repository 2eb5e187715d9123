/** The NATS that tests share; without one they are skipped. */
import { connect } from "node:net";

export const NATS_URL = process.env.TEST_NATS_URL ?? "nats://127.0.0.1:4222";

/** Whether something takes connections at the host and port of `url`. */
export const reachable = (url: string): Promise<boolean> =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port) });
    const end = (ok: boolean) => {
      socket.destroy();
      resolve(ok);
    };
    socket.setTimeout(2_000, () => end(false));
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });

/** For the option `skip` of a test. */
export const withoutNats = async (): Promise<string | false> =>
  (await reachable(NATS_URL)) ? false : `skipped: needs NATS at ${NATS_URL}`;
