/**
 * Assembles domain/ts/kernel.wat into domain/ts/kernel-bytes.ts: `node tools/ts-kernel.ts`. A test holds both equal, so
 * that the bytes that run are those of the text.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import wabt from "wabt";

const FOLDER = resolve(import.meta.dirname, "../domain/ts");
const LINE_CHARACTERS = 112;

/** The WebAssembly module that `domain/ts/kernel.wat` says. */
export const assembleKernel = async (): Promise<Buffer> => {
  const text = readFileSync(resolve(FOLDER, "kernel.wat"), "utf8");
  const assembler = await wabt();
  const module = assembler.parseWat("kernel.wat", text, { simd: true });
  return Buffer.from(module.toBinary({}).buffer);
};

const sourceOf = (bytes: Buffer): string => {
  const lines = bytes.toString("base64").match(new RegExp(`.{1,${LINE_CHARACTERS}}`, "g")) ?? [];
  return [
    "/** kernel.wat as a module, base64: written by `node tools/ts-kernel.ts`. */",
    "export const KERNEL_BASE64 = [",
    ...lines.map((line) => `  "${line}",`),
    '].join("");',
    "",
  ].join("\n");
};

if (import.meta.main) writeFileSync(resolve(FOLDER, "kernel-bytes.ts"), sourceOf(await assembleKernel()));
