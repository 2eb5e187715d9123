/** Certificates for host names, made by openssl(1), each its own authority. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface MadeCertificate {
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
}

let count = 0;

/** `names`: its DNS names; none for a certificate without any. */
export const certificateFor = (dir: string, names: readonly string[], days = 2): MadeCertificate => {
  count += 1;
  const [keyFile, certFile] = [join(dir, `key-${count}.pem`), join(dir, `cert-${count}.pem`)];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", String(days)];
  const subject = ["-subj", `/CN=${count}`];
  if (names.length > 0) subject.push("-addext", `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}`);
  execFileSync("openssl", ["req", "-x509", ...kind, "-keyout", keyFile, "-out", certFile, ...subject], {
    stdio: "ignore",
  });
  return { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8"), certFile };
};
