/** Connections of a TLS server before their handshakes are over: nobody may have all of those that there are. */
import type { Socket } from "node:net";
import type { Server } from "node:tls";
import { networkOf } from "./raw-refusal.ts";

/** Cuts those above `perAddress` of one network, whether they shake hands or have done so. */
export const limitHandshakes = (server: Server, perAddress: number): void => {
  const counts = new Map<string, number>();
  const change = (network: string, by: 1 | -1): number => {
    const count = (counts.get(network) ?? 0) + by;
    if (count === 0) counts.delete(network);
    else counts.set(network, count);
    return count;
  };
  server.on("connection", (socket: Socket) => {
    const { remoteAddress } = socket;
    if (remoteAddress === undefined) return; // it has left already
    const network = networkOf(remoteAddress);
    socket.once("close", () => change(network, -1));
    if (change(network, 1) > perAddress) socket.destroy();
  });
};
