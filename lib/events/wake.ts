import { Listener } from "../db/listener.ts";

const CHANNEL = "castellan_event"; // publish_event notifies it

/** Hears of new facts by their names; pollers cover what it misses. */
export const wakeOn = (url: string, onName: (name: string) => void): Listener =>
  new Listener({ url, channel: CHANNEL, onPayload: onName });
