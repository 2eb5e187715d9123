import { ERRORS } from "../../contracts/errors.ts";
import { code, page, table } from "./markdown.ts";

/** docs/errors.md: the catalogue, from the table that the code raises errors by. */
export const errorsPage = (): string =>
  page(
    "Errors",
    "Every error that a client sees is one of these, as `application/problem+json` with `code`, `status`, `title`, " +
      "`detail` and `requestId` (and `errors[]` per field where the request does not fit its schema). " +
      "Places in braces are filled in. Where a retry makes sense a `Retry-After` header says when.",
    table(
      ["code", "status", "whose fault", "retry", "message"],
      Object.entries(ERRORS)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, { status, fault, retry, message }]) => [
          code(name),
          String(status),
          fault,
          retry ? "yes" : "no",
          message,
        ]),
    ),
  );
