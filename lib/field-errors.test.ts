import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { ChannelId } from "../contracts/ids.ts";
import { FIELD_ERRORS_MAX, fieldErrors } from "./field-errors.ts";

const complaintsOf = (schema: z.ZodType, value: unknown) => {
  const { error } = schema.safeParse(value);
  assert.ok(error);
  return fieldErrors(error);
};

test("each field has its own complaint, by the path that a client wrote, and each unknown one too", () => {
  const schema = z.strictObject({
    origins: z.array(z.strictObject({ name: z.string().regex(/^a/, "begins with a") })),
  });
  assert.deepEqual(complaintsOf(schema, { origins: [{ name: "a" }, { name: "b", colour: 1, size: 2 }], extra: 1 }), [
    { path: "origins.1.name", message: "begins with a" },
    { path: "origins.1.colour", message: "is not a known field" },
    { path: "origins.1.size", message: "is not a known field" },
    { path: "extra", message: "is not a known field" },
  ]);
});

test("of a union the branch that the value's type fits complains, at the field; else the first", () => {
  const schema = z.object({ id: ChannelId });
  assert.deepEqual(complaintsOf(schema, { id: "abc" }), [{ path: "id", message: "must be a positive integer" }]);
  assert.deepEqual(complaintsOf(schema, { id: -1 }), [{ path: "id", message: "Too small: expected number to be >0" }]);
  assert.deepEqual(complaintsOf(schema, { id: true }), [
    { path: "id", message: "Invalid input: expected number, received boolean" },
  ]);
  const either = z.object({ source: z.union([z.string(), z.object({ port: z.number("must be a port") })]) });
  assert.deepEqual(complaintsOf(either, { source: { port: "x" } }), [
    { path: "source.port", message: "must be a port" },
  ]);
});

test("complaints end somewhere", () => {
  const fields = Object.fromEntries(Array.from({ length: FIELD_ERRORS_MAX + 1 }, (_, i) => [`field${i}`, i]));
  assert.equal(complaintsOf(z.strictObject({}), fields).length, FIELD_ERRORS_MAX);
});
