/** `packager token`: a short token, signed with the password of the rule that fits its paths. */
import { makeToken, ruleOf, tokenKey } from "../../actors/packager/tokens.ts";
import { TOKEN_ID_CHARS_MAX } from "../../domain/token/token.ts";
import type { PackagerConfig } from "../../lib/config/packager-config.ts";
import { type Arguments, EXIT_USAGE, Stop } from "./arguments.ts";

const ruleFor = ({ tokens, urlPrefix }: PackagerConfig, { paths, rule }: Arguments) => {
  if (tokens.length === 0) throw new Stop(EXIT_USAGE, "no tokens are asked for: CASTERPAK_TOKEN_PASSWORD is not set.");
  if (rule !== null) {
    const named = tokens.find(({ name }) => name === rule);
    if (named) return named;
    throw new Stop(EXIT_USAGE, `there is no rule ${rule}: ${tokens.map(({ name }) => name).join(", ")}.`);
  }
  const fitting = new Set(paths.map((path) => ruleOf(tokens, [path], urlPrefix)));
  const [index = -1, ...others] = fitting;
  const found = tokens[index];
  if (others.length > 0) throw new Stop(EXIT_USAGE, "these paths are under different rules.");
  if (!found) throw new Stop(EXIT_USAGE, `no rule fits ${paths.join(" ")}: it needs no token; --rule signs anyway.`);
  return found;
};

/** `hdnts=…`. One path without `*` is signed as that address alone; else the paths are the token's ACL. */
export const tokenFor = (config: PackagerConfig, args: Arguments, nowMs: number): string => {
  const { paths, ttlSeconds, ip, id } = args;
  const bad = paths.find((path) => !path.startsWith("/") || path.includes("!"));
  if (bad !== undefined) throw new Stop(EXIT_USAGE, `--path ${bad} is no path: it begins with a slash, without "!".`);
  if (id !== null && (id.length > TOKEN_ID_CHARS_MAX || !/^[\x20-\x7e]+$/.test(id))) {
    throw new Stop(EXIT_USAGE, `--id takes 1 to ${TOKEN_ID_CHARS_MAX} printable ASCII characters.`);
  }
  const key = tokenKey(ruleFor(config, args).password);
  const startSeconds = Math.floor(nowMs / 1000);
  const [only = ""] = paths;
  const isAddress = paths.length === 1 && !only.includes("*");
  const acl = isAddress ? [] : paths.map(decodeURI);
  const fields = { ip, startSeconds, endSeconds: startSeconds + ttlSeconds, acl, id, data: null };
  return `hdnts=${makeToken(fields, { key, url: isAddress ? only : null, salt: config.tokenSalt })}`;
};
