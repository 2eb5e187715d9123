/** Validators, and what a 304 does to a stored answer (RFC 9110 §8.8, RFC 9111 §3.2 and §4.3.4). */
import { controlOf } from "./control.ts";
import { eachField, type FieldList, fieldValue, fieldValues } from "./fields.ts";
import { connectionOptions, isHopByHop } from "./hop-by-hop.ts";
import { httpDateMs } from "./http-date.ts";

/** The validators of an answer, as they stand in its fields. */
export interface StoredValidators {
  /** Strong or weak, as sent. */
  readonly etag?: string;
  /** The ETag when it is a strong one: the only kind that pieces may be put together under. */
  readonly strongEtag?: string;
  readonly lastModified?: string;
}

const ENTITY_TAG = /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/;

/** True for a well-formed strong entity tag (RFC 9110 §8.8.3). */
export const isStrongEtag = (etag: string | undefined): etag is string =>
  etag?.startsWith('"') === true && ENTITY_TAG.test(etag);

/**
 * Only whether a date is well-formed, or equal to another, is asked here: the century of RFC 850's years is all one.
 */
const ANY_TIME_MS = 0;

const opaqueTag = (etag: string): string => (etag.startsWith("W/") ? etag.slice(2) : etag);

/** RFC 9110 §8.8.3.2: equal opaque tags, whether weak or not. */
const matchesWeakly = (one: string, other: string): boolean => opaqueTag(one) === opaqueTag(other);

/** Repeated or malformed validators validate nothing and count as missing. */
export const validatorsOf = (fields: FieldList): StoredValidators => {
  const [etag, secondEtag] = fieldValues(fields, "etag");
  const [lastModified, secondDate] = fieldValues(fields, "last-modified");
  const validators: { etag?: string; strongEtag?: string; lastModified?: string } = {};
  if (etag !== undefined && secondEtag === undefined && ENTITY_TAG.test(etag)) {
    validators.etag = etag;
    if (isStrongEtag(etag)) validators.strongEtag = etag;
  }
  if (lastModified !== undefined && secondDate === undefined && httpDateMs(lastModified, ANY_TIME_MS) !== undefined) {
    validators.lastModified = lastModified;
  }
  return validators;
};

/** The fields [name, value …] that ask an origin whether a stored answer is still good; empty without a validator. */
export const validationFields = (stored: FieldList): string[] => {
  const { etag, lastModified } = validatorsOf(stored);
  const fields: string[] = [];
  if (etag !== undefined) fields.push("If-None-Match", etag);
  if (lastModified !== undefined) fields.push("If-Modified-Since", lastModified);
  return fields;
};

/**
 * RFC 9111 §4.3.4. A 304 without any validator is taken for the answer whose validators were sent: only one was asked
 * about.
 */
const isForStored = (stored: FieldList, notModified: FieldList): boolean => {
  const now = validatorsOf(notModified);
  const then = validatorsOf(stored);
  if (now.strongEtag !== undefined) return now.strongEtag === then.strongEtag;
  if (now.etag !== undefined) return then.etag !== undefined && matchesWeakly(now.etag, then.etag);
  if (fieldValue(notModified, "etag") !== undefined) return false;
  if (now.lastModified === undefined) return true;
  const nowMs = httpDateMs(now.lastModified, ANY_TIME_MS);
  return then.lastModified !== undefined && httpDateMs(then.lastModified, ANY_TIME_MS) === nowMs;
};

/**
 * Fields of a 304 that never replace stored ones. Content-Length: RFC 9111 §3.2. Content-Encoding and Content-Range
 * describe the bytes that are kept. A cookie that came with a validation belongs to the one who asked.
 */
const NEVER_UPDATED: ReadonlySet<string> = new Set([
  "age",
  "cache-status",
  "content-encoding",
  "content-length",
  "content-range",
  "etag",
  "set-cookie",
  "set-cookie2",
  "via",
]);

/**
 * The stored fields after a 304: its fields replace those of the same name (RFC 9111 §3.2), the rest stays. undefined
 * when the 304 is for another validator: it must not be used, and the answer is fetched again without conditions.
 * Freshness is reckoned anew from the result and the Age of the 304 (`storability` with both lists joined).
 */
export const afterValidation = (stored: FieldList, notModified: FieldList): string[] | undefined => {
  if (!isForStored(stored, notModified)) return undefined;
  const options = connectionOptions(notModified);
  const { directives } = controlOf(notModified);
  const unwanted = new Set([...directives.names("no-cache"), ...directives.names("private")]);
  const updates: string[] = [];
  const updated = new Set<string>();
  eachField(notModified, (name, lower, value) => {
    if (NEVER_UPDATED.has(lower) || unwanted.has(lower) || isHopByHop(lower) || options.has(lower)) return;
    updated.add(lower);
    updates.push(name, value);
  });
  const fields: string[] = [];
  eachField(stored, (name, lower, value) => {
    if (!updated.has(lower)) fields.push(name, value);
  });
  return [...fields, ...updates];
};
