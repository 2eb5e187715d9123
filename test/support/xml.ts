/** xmllint, where the machine has one. */
import { spawn } from "node:child_process";

/** What it complains about: of a text by itself, or against a schema file. Null where there is no xmllint. */
export const xmlErrors = (text: string, schemaPath?: string): Promise<string | null> =>
  new Promise((resolve, reject) => {
    const args = ["--noout", "--nonet", ...(schemaPath ? ["--schema", schemaPath] : []), "-"];
    const child = spawn("xmllint", args, { stdio: ["pipe", "ignore", "pipe"] });
    let errors = "";
    child.stderr.on("data", (bytes: Buffer) => {
      errors += bytes.toString();
    });
    child.once("error", (error: NodeJS.ErrnoException) => (error.code === "ENOENT" ? resolve(null) : reject(error)));
    child.once("close", (code) => resolve(code === 0 ? "" : errors || `xmllint ended with ${code}`));
    child.stdin.on("error", () => {}); // it is not there, or has ended at the first complaint
    child.stdin.end(text);
  });
