/** `npm run -s edge:sign -- …`: signed URLs of the edge, and keys for them. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { signedUrl, signerOf, signToken } from "../../edge/guard/sign.ts";

export const HELP = `edge:sign --url URL --key-id ID --key-file FILE [options]   prints the URL with a token
edge:sign --new-key HS256|EdDSA --key-id ID                prints a new key

--key-file   an HS256 secret (base64url) or an Ed25519 private key (PEM, PKCS #8); - is standard input
--prefix     the path that the token opens, with all that is below it; by default the folder of the URL
--ttl        how long it is valid: 90s, 15m, 13h, 7d; by default 13h, a long session
--delay      from when on it is valid: as --ttl; by default at once
--address    the viewer that it is for: an IPv4 address, or an IPv6 address of its /64
--place      path (by default: playlists carry the token on) or query
`;
const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** A mistake in the arguments. */
class Usage extends Error {}

const secondsOf = (name: string, text: string): number => {
  const found = /^(\d{1,7})([smhd])$/.exec(text);
  if (!found) throw new Usage(`--${name} ${text} is no time: 90s, 15m, 13h or 7d`);
  return Number(found[1]) * (UNIT_SECONDS[found[2] ?? ""] ?? 0);
};

const OPTIONS = {
  url: { type: "string" },
  "key-id": { type: "string" },
  "key-file": { type: "string" },
  "new-key": { type: "string" },
  prefix: { type: "string" },
  ttl: { type: "string", default: "13h" },
  delay: { type: "string" },
  address: { type: "string" },
  place: { type: "string", default: "path" },
  help: { type: "boolean", default: false },
} as const;

/** The key as the edge's configuration takes it, and what the signer keeps. */
const newKey = (algorithm: string, id: string): string => {
  if (algorithm === "HS256") {
    const secret = randomBytes(32).toString("base64url");
    return `${JSON.stringify({ id, algorithm, secret })}\n`;
  }
  if (algorithm !== "EdDSA") throw new Usage(`--new-key ${algorithm}: there are HS256 and EdDSA`);
  const pair = generateKeyPairSync("ed25519");
  const { x } = pair.publicKey.export({ format: "jwk" });
  const pem = pair.privateKey.export({ type: "pkcs8", format: "pem" });
  return `${JSON.stringify({ id, algorithm, publicKey: x })}\n${pem}`;
};

const placeOf = (text: string): "path" | "query" => {
  if (text === "path" || text === "query") return text;
  throw new Usage(`--place ${text}: there are path and query`);
};

/** What the command prints. Throws an Error that says what is wrong with its arguments. */
export const signCommand = (
  args: readonly string[],
  { nowMs, readKey }: { readonly nowMs: number; readonly readKey: (path: string) => string },
): string => {
  const { values } = parseArgs({ args: [...args], options: OPTIONS, strict: true });
  if (values.help) return HELP;
  const { url: urlText, address, prefix, "key-id": keyId, "key-file": keyFile, "new-key": algorithm } = values;
  if (keyId === undefined) throw new Usage("--key-id is missing");
  if (algorithm !== undefined) return newKey(algorithm, keyId);
  if (urlText === undefined || keyFile === undefined) throw new Usage("--url and --key-file are needed");
  if (!URL.canParse(urlText)) throw new Usage(`--url ${urlText} is no URL`);
  const url = new URL(urlText);
  const nowSeconds = Math.floor(nowMs / 1_000);
  const token = signToken(signerOf(keyId, readKey(keyFile)), {
    host: url.host,
    prefix: prefix ?? url.pathname.slice(0, url.pathname.lastIndexOf("/") + 1),
    expiresSeconds: nowSeconds + secondsOf("ttl", values.ttl),
    ...(values.delay === undefined ? {} : { fromSeconds: nowSeconds + secondsOf("delay", values.delay) }),
    ...(address === undefined ? {} : { address }),
  });
  return `${signedUrl(url, token, placeOf(values.place))}\n`;
};

const main = (): void => {
  try {
    const readKey = (path: string): string => readFileSync(path === "-" ? 0 : path, "utf8");
    process.stdout.write(signCommand(process.argv.slice(2), { nowMs: Date.now(), readKey }));
  } catch (error) {
    process.stderr.write(`edge:sign: ${(error as Error).message}\n\n${HELP}`);
    process.exitCode = 64; // EX_USAGE
  }
};
if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) main();
