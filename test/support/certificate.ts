/** A certificate that is its own authority, for servers on 127.0.0.1; made by openssl(1). */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { missingPrograms } from "./server-process.ts";

export const noOpenssl = missingPrograms("openssl");

export interface Certificate {
  readonly keyFile: string;
  readonly certificateFile: string;
}

export const makeCertificate = (dir: string): Certificate => {
  const made = { keyFile: join(dir, "key.pem"), certificateFile: join(dir, "certificate.pem") };
  const files = ["-keyout", made.keyFile, "-out", made.certificateFile];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"];
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", ...files, ...names], {
    stdio: "ignore",
  });
  return made;
};
