/**
 * Viewers in a process of their own: each asks for `/` again and again on its connection. Arguments: port, viewers,
 * bytes to take in all. Prints what each took, as JSON. In the server's own process the two sides' turns would hang
 * together, and the shares say nothing about the server.
 */
import { connect } from "node:net";

const [port = 0, viewers = 0, bytesMax = 0] = process.argv.slice(2).map(Number);
const REQUEST = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
const taken = Array.from({ length: viewers }, () => 0);
const buffer = Buffer.alloc(64 * 1024);
let sum = 0;

const view = (viewer: number): void => {
  /** Of the answer; below 0 before its head. */
  let left = -1;
  const read = (length: number, bytes: Uint8Array): boolean => {
    if (left < 0) {
      const head = Buffer.from(bytes.subarray(0, length)).toString("latin1");
      left = Number(/Content-Length: (\d+)/.exec(head)?.[1]) + head.indexOf("\r\n\r\n") + 4;
    }
    left -= length;
    taken[viewer]! += length;
    sum += length;
    if (sum >= bytesMax) {
      process.stdout.write(`${JSON.stringify(taken)}\n`, () => process.exit());
    } else if (left === 0) {
      left = -1;
      socket.write(REQUEST);
    }
    return sum < bytesMax;
  };
  const socket = connect({ port, host: "127.0.0.1", onread: { buffer, callback: read } });
  socket.on("connect", () => socket.write(REQUEST));
};

for (let viewer = 0; viewer < viewers; viewer += 1) view(viewer);
