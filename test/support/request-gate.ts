/** A gate in front of an HTTP server that passes all bytes on, and notes the first line of each request. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface RequestGate {
  readonly port: number;
  /** `PUT /bucket/key?partNumber=1 HTTP/1.1`, in the order in which they came. */
  readonly requests: string[];
  /** Status of each answer but 100. */
  readonly answers: number[];
  /** By clients; may be set. */
  readonly sent: { bytes: number };
  /** Is called whenever bytes of an answer were passed on. */
  onAnswer(listener: () => void): void;
  close(): void;
}

const REQUEST = /(?:GET|HEAD|PUT|POST|DELETE) \S+ HTTP\/1\.1(?=\r\n)/g;
const ANSWER = /HTTP\/1\.1 ([2-5]\d\d)/g;

export const requestGate = async (to: number): Promise<RequestGate> => {
  const requests: string[] = [];
  const answers: number[] = [];
  const sent = { bytes: 0 };
  const sockets = new Set<Socket>();
  let listener = (): void => {};
  const server = createServer((client) => {
    const upstream = connect(to, "127.0.0.1");
    for (const [from, into] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on("error", () => into.destroy());
      from.on("close", () => {
        sockets.delete(from);
        into.destroy();
      });
      from.pipe(into);
    }
    client.on("data", (bytes: Buffer) => {
      sent.bytes += bytes.length;
      requests.push(...(bytes.toString("latin1").match(REQUEST) ?? []));
    });
    upstream.on("data", (bytes: Buffer) => {
      for (const [, status] of bytes.toString("latin1").matchAll(ANSWER)) answers.push(Number(status));
      listener();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    answers,
    sent,
    onAnswer: (next) => {
      listener = next;
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
};
