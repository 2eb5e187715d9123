/** Puts an ask's input together from path, query or body, and from what only the gateway knows. */
import type { FieldError } from "../contracts/errors.ts";
import { FIELD_ERRORS_MAX, fieldErrors, UNKNOWN_FIELD } from "../lib/field-errors.ts";
import { isStorable, NOT_STORABLE } from "./body.ts";
import { badInput } from "./reply.ts";
import { type FilledField, isFilled, type Route } from "./routes.ts";

const queryFields = (query: URLSearchParams, errors: FieldError[]): Record<string, string> => {
  const fields: Record<string, string> = Object.create(null);
  for (const [name, value] of query) {
    if (name in fields) errors.push({ path: name, message: "is given twice" });
    if (!isStorable(value)) errors.push({ path: name, message: NOT_STORABLE });
    fields[name] = value;
  }
  return fields;
};

export interface Given {
  readonly pathParams: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>>;
  /** Values for FILLED_FIELDS; those that the ask does not have are left out. */
  readonly filled: Readonly<Partial<Record<FilledField, unknown>>>;
}

const clientFields = (route: Route, { query, body, pathParams }: Given): Record<string, unknown> => {
  const errors: FieldError[] = [];
  const asked = queryFields(query, errors);
  if (route.hasBody) for (const path of Object.keys(asked)) errors.push({ path, message: "is not a query parameter" });
  const fields: Record<string, unknown> = route.hasBody ? body : asked;
  for (const path of Object.keys(fields)) {
    if (Object.hasOwn(pathParams, path)) errors.push({ path, message: "is given by the path" });
    else if (isFilled(path)) errors.push({ path, message: UNKNOWN_FIELD });
  }
  if (errors.length > 0) throw badInput(errors.slice(0, FIELD_ERRORS_MAX));
  return fields;
};

/** The input as it goes to the actor (unparsed: the actor parses it again). Fails with BAD_INPUT. */
export const inputOf = (route: Route, given: Given): Record<string, unknown> => {
  const filled = route.filledFields.flatMap((name) =>
    given.filled[name] === undefined ? [] : [[name, given.filled[name]]],
  );
  const input = { ...clientFields(route, given), ...given.pathParams, ...Object.fromEntries(filled) };
  const parsed = route.ask.input.safeParse(input);
  if (!parsed.success) throw badInput(fieldErrors(parsed.error));
  return input;
};
