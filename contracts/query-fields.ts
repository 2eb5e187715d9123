/** Fields that come in a query, as text, as well as in a body. */
import { z } from "zod";

const LIST_MAX = 50;

/** A whole number within bounds, also as text. */
export const number = (min: number, max: number) =>
  z.union([
    z.int().min(min).max(max),
    z
      .string()
      .regex(/^\d{1,6}$/, "must be a whole number")
      .transform(Number)
      .pipe(z.int().min(min).max(max)),
  ]);

/** Several by commas: one of them fits. */
export const someOf = <T extends z.ZodType<string, string>>(word: T) =>
  z
    .string()
    .max(1_000)
    .transform((text) => text.split(","))
    .pipe(z.array(word).min(1).max(LIST_MAX));
