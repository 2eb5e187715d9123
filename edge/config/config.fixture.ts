/** For tests: configurations as operators write them. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { EdgeConfig, EdgeSite } from "../../contracts/edge-config.ts";

/** 32 bytes in base64url. */
export const SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I";

export const siteWith = (more: Partial<EdgeSite> = {}): EdgeSite => ({
  hostnames: ["cdn.acme.example"],
  origins: [{ id: "a", url: "https://origin.acme.example/base" }],
  ...more,
});
/** One customer with these sites. */
export const configWith = (...sites: readonly EdgeSite[]): EdgeConfig => ({
  customers: [{ id: "acme", sites: [...sites] }],
});

export interface Pem {
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
}
/** A certificate that is its own authority, by openssl(1), in a folder that is there. */
export const pemIn = (dir: string, name: string): Pem => {
  const files = { certFile: join(dir, `${name}.crt`), keyFile: join(dir, `${name}.key`) };
  const made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", `/CN=${name}`];
  execFileSync("openssl", ["req", "-x509", ...made, "-keyout", files.keyFile, "-out", files.certFile], {
    stdio: "ignore",
  });
  return { ...files, cert: readFileSync(files.certFile, "utf8"), key: readFileSync(files.keyFile, "utf8") };
};
