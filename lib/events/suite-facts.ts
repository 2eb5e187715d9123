/** The facts that the carriers' suite speaks of. */
import { z } from "zod";
import { fact } from "../../contracts/kit.ts";

export const happened = fact("test.happened", z.object({ n: z.int() }));
export const other = fact("test.other", z.object({ n: z.int() }));
