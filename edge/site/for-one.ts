/** An answer for one request alone that is read here and given to its viewer by another thread. */
import { fieldValue } from "../../domain/http-cache/fields.ts";
import { passedFields } from "../../domain/http-cache/forward.ts";
import { type Allocate, type ByteBudget, FillingBody } from "../cache/body.ts";
import { describe } from "./entry.ts";
import type { SiteRuntime } from "./runtime.ts";
import type { Verdict } from "./verdict.ts";

/** Larger ones, and those of a size that is not told, are asked for again by the thread that has the viewer. */
const BODY_BYTES_MAX = 8 * 1024 * 1024;

export interface ForOneDeps {
  readonly budget: ByteBudget;
  readonly allocate: Allocate;
  readonly via: string;
  /** Since 1970. */
  readonly wallMs: () => number;
}

type Passed = Extract<Verdict, { kind: "pass" }>;

/** The answer as content that nobody else gets; as it was where there is none, or too much of it. */
export const forOne = (verdict: Passed, { account }: SiteRuntime, deps: ForOneDeps): Verdict => {
  const { answer, status } = verdict;
  if (!answer) return verdict;
  if (answer.sizeBytes === undefined) {
    answer.drop();
    return { ...verdict, answer: undefined };
  }
  const body = new FillingBody({ ...deps, sizeBytes: answer.sizeBytes, maxBytes: BODY_BYTES_MAX });
  if (body.open()) {
    answer.drop();
    return { ...verdict, answer: undefined };
  }
  const fields = passedFields(answer.fields);
  const described = describe(fields, { status: answer.status, via: deps.via, dateMs: deps.wallMs() });
  const ageMs = Number(fieldValue(answer.fields, "age") ?? 0) * 1_000 || 0;
  const reading = answer.read((chunk) => {
    account.countOrigin(0, chunk.length);
    if (body.append(chunk)) throw new Error("it is longer than was announced, or than it may be");
  });
  reading.then(
    () => body.whole(),
    () => body.broken(),
  );
  return { kind: "content", result: "passed", isAlone: true, content: { described, body, ageMs, status } };
};
