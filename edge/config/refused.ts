/** A configuration that is refused, as a whole. */
import type { FieldError } from "../../contracts/errors.ts";

/** Names every field that is wrong; `path` is joined by dots, empty for the document itself. */
export class ConfigRefused extends Error {
  readonly errors: readonly FieldError[];
  constructor(errors: readonly FieldError[]) {
    super(errors.map(sentenceOf).join("; "));
    this.name = "ConfigRefused";
    this.errors = errors;
  }
}

/** `customers.0.id: must be …`, for people. */
export const sentenceOf = ({ path, message }: FieldError): string => (path === "" ? message : `${path}: ${message}`);
