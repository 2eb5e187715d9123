/** Which directives a shared cache obeys for an answer. */
import { type Directives, parseDirectives } from "./directives.ts";
import { type FieldList, fieldValue } from "./fields.ts";
import { parseTargeted } from "./targeted.ts";

/** What an answer says about its storing. `isTargeted`: CDN-Cache-Control counts, and Expires does not. */
export interface Control {
  readonly directives: Directives;
  readonly isTargeted: boolean;
}

/** RFC 9213 §2.2: a valid CDN-Cache-Control is used alone; Cache-Control and Expires are then ignored. */
export const controlOf = (fields: FieldList): Control => {
  const targeted = parseTargeted(fieldValue(fields, "cdn-cache-control"));
  if (targeted) return { directives: targeted, isTargeted: true };
  return { directives: parseDirectives(fieldValue(fields, "cache-control")), isTargeted: false };
};
