/** Requests as bytes, for targets that no client of HTTP would send. */
import { connect } from "node:net";

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: Buffer;
}

const DEADLINE_MS = 20_000;
const END_OF_HEAD = "\r\n\r\n";

/** All that comes back for some bytes, until the server has closed the connection. */
export const exchanged = (url: string, request: string | Buffer): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port) });
    const parts: Buffer[] = [];
    socket.setTimeout(DEADLINE_MS, () => socket.destroy(new Error("no answer in time")));
    socket.on("data", (part) => parts.push(part));
    socket.once("error", reject);
    socket.once("end", () => resolve(Buffer.concat(parts)));
    socket.write(typeof request === "string" ? Buffer.from(request, "latin1") : request);
  });

/** Takes the first answer of those in some bytes; undefined where there is none that is whole. */
export const firstAnswer = (bytes: Buffer): (RawAnswer & { readonly rest: Buffer }) | undefined => {
  const end = bytes.indexOf(END_OF_HEAD);
  if (end === -1) return undefined;
  const head = bytes.toString("latin1", 0, end);
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
  const body = bytes.subarray(end + END_OF_HEAD.length, end + END_OF_HEAD.length + length);
  if (body.length < length) return undefined;
  return { status, head, body, rest: bytes.subarray(end + END_OF_HEAD.length + length) };
};

/** The answer to GET of a target exactly as it is, byte for byte where it is one of Latin-1. */
export const rawGet = async (url: string, target: string, fields = ""): Promise<RawAnswer> => {
  const request = `GET ${target} HTTP/1.1\r\nHost: packager\r\n${fields}Connection: close\r\n\r\n`;
  const answer = firstAnswer(await exchanged(url, request));
  if (!answer) throw new Error(`no whole answer to ${target}`);
  return answer;
};
