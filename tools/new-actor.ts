/** `npm run new:actor name`: makes the rooms of an actor, with a test that fails until it does something. */
import { resolve } from "node:path";
import { makeActor } from "./new-actor/rooms.ts";

const [name = "", ...more] = process.argv.slice(2);
try {
  if (more.length > 0) throw new Error("one name, please: npm run new:actor recorder");
  const made = makeActor(resolve(import.meta.dirname, ".."), name);
  process.stdout.write(`${made.join("\n")}\n\nNext: the contract, then main.ts, then make the test pass.\n`);
} catch (error) {
  process.stderr.write(`new:actor: ${(error as Error).message}\n`);
  process.exitCode = 64;
}
