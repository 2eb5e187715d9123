/** Fields that belong to one connection (RFC 9110 §7.6.1). */
import { type FieldList, fieldValues, listMembers } from "./fields.ts";

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** True for a field that is never passed on nor stored. */
export const isHopByHop = (lowerName: string): boolean => HOP_BY_HOP.has(lowerName);

/** The lower-case field names that Connection declares to be of this hop alone. */
export const connectionOptions = (fields: FieldList): ReadonlySet<string> =>
  new Set(fieldValues(fields, "connection").flatMap((value) => listMembers(value).map((name) => name.toLowerCase())));
