/** Bodies of requests that are JSON (RFC 8259 §8.1: UTF-8). */
import { fail } from "../../contracts/errors.ts";

/** What a body says. BAD_JSON. */
export const jsonIn = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return fail("BAD_JSON");
  }
};
