/** zod schemas of the contracts as the JSON Schemas of an OpenAPI 3.1 document; named ones become components. */
import { z } from "zod";
import { CONTRACTS, isFilled } from "./routes.ts";

export type JsonSchema = { [key: string]: unknown };
type Io = "input" | "output";

/** Exported objects and enums of the contracts, under the names that they are exported by. */
const named = z.registry<{ id: string }>();
for (const module of Object.values(CONTRACTS)) {
  for (const [name, value] of Object.entries(module)) {
    const isNamed = value instanceof z.ZodObject || value instanceof z.ZodEnum;
    if (isNamed && /^[A-Z]/.test(name) && !named.has(value)) named.add(value, { id: name });
  }
}

const isSchema = (value: unknown): value is JsonSchema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** An id or a limit may come as text in a path or a query: for readers it is the number. */
const isNumberOrItsText = ({ anyOf }: JsonSchema): boolean =>
  Array.isArray(anyOf) && anyOf.length === 2 && anyOf[0]?.type === "integer" && anyOf[1]?.type === "string";

/** zod writes the bounds of JavaScript's integers where there are none. */
const withoutSafeBounds = (schema: JsonSchema): JsonSchema => {
  const { minimum, maximum, ...rest } = schema;
  return {
    ...rest,
    ...(minimum === undefined || minimum === Number.MIN_SAFE_INTEGER ? {} : { minimum }),
    ...(maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? {} : { maximum }),
  };
};

/** Keys whose values are lists of schemas by name, or plain values. */
const MAPS = new Set(["properties", "patternProperties"]);
const VALUES = new Set(["default", "example", "examples", "enum", "const", "required"]);

const tidy = (schema: JsonSchema, rename: (ref: string) => string): JsonSchema => {
  if (isNumberOrItsText(schema)) {
    const { anyOf, ...rest } = schema;
    return tidy({ ...(anyOf as JsonSchema[])[0], ...rest }, rename);
  }
  const entries = Object.entries(withoutSafeBounds(schema)).flatMap(([key, value]): [string, unknown][] => {
    if (key === "$schema" || key === "$defs" || key === "id" || key === "$id") return [];
    if (key === "$ref") return [[key, rename(String(value))]];
    if (VALUES.has(key)) return [[key, value]];
    if (MAPS.has(key) && isSchema(value)) return [[key, mapValues(value, (inner) => tidy(inner, rename))]];
    if (Array.isArray(value)) return [[key, value.map((inner) => (isSchema(inner) ? tidy(inner, rename) : inner))]];
    return [[key, isSchema(value) ? tidy(value, rename) : value]];
  });
  return Object.fromEntries(entries);
};

const mapValues = (map: JsonSchema, change: (schema: JsonSchema) => JsonSchema): JsonSchema =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, isSchema(value) ? change(value) : value]));

const COMPONENTS = "#/components/schemas/";

/** Collects components while schemas are converted. */
export class Schemas {
  /** By direction: what is sent may leave out what has a default, so one name can mean two schemas. */
  readonly #definitions = { input: new Map<string, JsonSchema>(), output: new Map<string, JsonSchema>() };

  /** The JSON Schema of what a client sends (`input`) or gets (`output`). */
  of(schema: z.ZodType, io: Io): JsonSchema {
    const made = z.toJSONSchema(schema, { io, metadata: named, unrepresentable: "any" }) as JsonSchema;
    const rename = (ref: string): string => ref.replace("#/$defs/", `${COMPONENTS}${io}.`);
    for (const [id, definition] of Object.entries((made.$defs ?? {}) as Record<string, JsonSchema>)) {
      this.#definitions[io].set(id, tidy(definition, rename));
    }
    return tidy(made, rename);
  }

  /** The finished document with its components: one name where both directions agree, `NameInput` where they do not. */
  resolve<D extends JsonSchema>(document: D): { document: D; components: Record<string, JsonSchema> } {
    const { input, output } = this.#definitions;
    const differing = this.#differing();
    const name = (io: Io, id: string): string => (io === "input" && differing.has(id) ? `${id}Input` : id);
    const resolved = <T>(value: T): T =>
      JSON.parse(
        JSON.stringify(value).replace(/#\/components\/schemas\/(input|output)\.(\w+)/g, (_, io: Io, id: string) =>
          COMPONENTS.concat(name(io, id)),
        ),
      ) as T;
    const components: Record<string, JsonSchema> = {};
    for (const [id, schema] of output) components[id] = resolved(schema);
    for (const [id, schema] of input) components[name("input", id)] = resolved(schema);
    return { document: resolved(document), components };
  }

  /** Ids whose two directions differ, by themselves or through what they refer to. */
  #differing(): ReadonlySet<string> {
    const { input, output } = this.#definitions;
    const differing = new Set<string>();
    const textOf = (schema: JsonSchema | undefined): string =>
      JSON.stringify(schema).replace(/\/schemas\/(?:input|output)\./g, "/schemas/");
    const refersToDiffering = (schema: JsonSchema): boolean =>
      [...differing].some((id) => JSON.stringify(schema).includes(`.${id}"`));
    for (let before = -1; before !== differing.size; ) {
      before = differing.size;
      for (const [id, schema] of input) {
        if (!output.has(id)) continue;
        if (textOf(schema) !== textOf(output.get(id)) || refersToDiffering(schema)) differing.add(id);
      }
    }
    return differing;
  }
}

/** The object schema of an ask's input without the fields that the gateway fills and without `leftOut`. */
export const clientInput = (schemas: Schemas, input: z.ZodType, leftOut: readonly string[]): JsonSchema => {
  const object = schemas.of(input, "input");
  const properties = (object.properties ?? {}) as Record<string, JsonSchema>;
  const kept = Object.entries(properties).filter(([name]) => !isFilled(name) && !leftOut.includes(name));
  const required = ((object.required ?? []) as string[]).filter((name) => kept.some(([key]) => key === name));
  return {
    ...object,
    properties: Object.fromEntries(kept),
    ...(required.length > 0 ? { required } : { required: [] }),
  };
};
