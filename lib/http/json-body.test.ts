import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../../contracts/errors.ts";
import { jsonIn } from "./json-body.ts";

test("a body is read as JSON; what is none, or no UTF-8, is BAD_JSON", () => {
  assert.deepEqual(jsonIn(Buffer.from('{"größe":[1,null]}')), { größe: [1, null] });
  for (const body of ["", "{", "{'a':1}", "a", Buffer.from([0x22, 0xff, 0x22])]) {
    assert.throws(
      () => jsonIn(Buffer.from(body)),
      (error) => codeOf(error) === "BAD_JSON",
    );
  }
});
