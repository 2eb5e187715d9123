/**
 * Assembles domain/ts/kernel.wat into domain/ts/kernel-bytes.ts: `node tools/ts-kernel.ts`. A test holds both equal, so
 * that the bytes that run are those of the text.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import wabt from "wabt";

const FOLDER = resolve(import.meta.dirname, "../domain/ts");
const LINE_CHARACTERS = 112;

/** How the text imports its memory; and one that other threads have too, with as many pages as there can be. */
const OWN_MEMORY = "(memory 1)";
const SHARED_MEMORY = "(memory 1 65536 shared)";

/** The WebAssembly module that `domain/ts/kernel.wat` says; `isShared`: over memory that other threads have too. */
export const assembleKernel = async ({ isShared }: { readonly isShared: boolean }): Promise<Buffer> => {
  const text = readFileSync(resolve(FOLDER, "kernel.wat"), "utf8");
  if (!text.includes(OWN_MEMORY)) throw new Error(`kernel.wat has no ${OWN_MEMORY}`);
  const assembler = await wabt();
  const wanted = isShared ? text.replace(OWN_MEMORY, SHARED_MEMORY) : text;
  const module = assembler.parseWat("kernel.wat", wanted, { simd: true, threads: isShared });
  return Buffer.from(module.toBinary({}).buffer);
};

const constantOf = (name: string, bytes: Buffer): readonly string[] => {
  const lines = bytes.toString("base64").match(new RegExp(`.{1,${LINE_CHARACTERS}}`, "g")) ?? [];
  return [`export const ${name} = [`, ...lines.map((line) => `  "${line}",`), '].join("");'];
};

const source = async (): Promise<string> =>
  [
    "/** kernel.wat as modules, base64: written by `node tools/ts-kernel.ts`. */",
    ...constantOf("KERNEL_BASE64", await assembleKernel({ isShared: false })),
    "/** Over memory that other threads have too. */",
    ...constantOf("SHARED_KERNEL_BASE64", await assembleKernel({ isShared: true })),
    "",
  ].join("\n");

if (import.meta.main) writeFileSync(resolve(FOLDER, "kernel-bytes.ts"), await source());
