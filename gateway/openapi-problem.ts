import type { JsonSchema } from "./openapi-schemas.ts";

/** An answer of the API reference that is a problem document (RFC 9457). */
export const problem = (description: string): JsonSchema => ({
  description,
  content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
});
