/** What a schema says of a value, as the `errors[]` of a problem document (RFC 9457). */
import type { z } from "zod";
import type { FieldError } from "../contracts/errors.ts";

export const FIELD_ERRORS_MAX = 50;
export const UNKNOWN_FIELD = "is not a known field";

type Issue = z.core.$ZodIssue;

/** Of a union's branches the one that the value's type fits; else the first. */
const meantBranch = (branches: readonly (readonly Issue[])[]): readonly Issue[] => {
  const fits = (branch: readonly Issue[]) =>
    !branch.some(({ code, path }) => code === "invalid_type" && path.length === 0);
  return branches.find(fits) ?? branches[0] ?? [];
};

const complaintsOf = (issue: Issue, above: readonly PropertyKey[]): FieldError[] => {
  const path = [...above, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: [...path, key].join("."), message: UNKNOWN_FIELD }));
  }
  const meant = issue.code === "invalid_union" ? meantBranch(issue.errors) : [];
  if (meant.length > 0) return meant.flatMap((inner) => complaintsOf(inner, path));
  return [{ path: path.join("."), message: issue.message }];
};

/** One complaint per field, at most FIELD_ERRORS_MAX; paths are joined by dots. */
export const fieldErrors = (error: z.ZodError): FieldError[] =>
  error.issues.flatMap((issue) => complaintsOf(issue, [])).slice(0, FIELD_ERRORS_MAX);
