/** Keys of encrypted media: the 16 bytes themselves (RFC 8216 §5), and Clear Key licences (W3C EME §9.1). */
import { fail } from "../../contracts/errors.ts";
import { licenceText, readLicenceRequest } from "../../domain/cenc/clear-key.ts";
import { refuseMethod } from "../../lib/http/cors.ts";
import type { RawExchange } from "../../lib/http/exchange.ts";
import { jsonIn } from "../../lib/http/json-body.ts";
import { headerLines, TYPES } from "./caching.ts";
import type { FileProtection } from "./protection.ts";

const LICENCE_REQUEST_BYTES_MAX = 64 * 2 ** 10;

/** The key of a file. One whose rule names another key server has none here. */
export const answerKey = (exchange: RawExchange, protection: FileProtection | null): void => {
  if (!protection || protection.keyUrl !== null) fail("NOT_FOUND");
  else exchange.send(200, headerLines({ type: TYPES.key, freshness: "secret" }), protection.key.key);
};

/** The licence for those keys of a set that are asked for. */
export const answerLicence = async (
  exchange: RawExchange,
  protections: readonly (FileProtection | null)[],
): Promise<void> => {
  const known = protections.flatMap((one) => (one && one.keyUrl === null && one.isCommon ? [one.key] : []));
  const keys = [...new Map(known.map((key) => [key.keyId.toString("hex"), key])).values()]; // files may share one
  if (keys.length === 0) return fail("NOT_FOUND");
  if (exchange.method !== "POST") return refuseMethod(exchange, "POST, OPTIONS");
  const request = readLicenceRequest(jsonIn(await exchange.readBody(LICENCE_REQUEST_BYTES_MAX)));
  const text = request ? licenceText(request, keys) : fail("BAD_INPUT");
  if (text === null) return fail("NOT_FOUND");
  exchange.send(200, headerLines({ type: TYPES.json, freshness: "secret" }), Buffer.from(text));
};
