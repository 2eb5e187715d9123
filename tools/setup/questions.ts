/** What the wizard asks, and which variables the answers are. */
import { homedir } from "node:os";
import { BadValue, type Kind, oneOf } from "../../lib/config/kinds.ts";
import { PACKAGER_VARIABLES as V } from "../../lib/config/packager-variables.ts";

export type Answers = ReadonlyMap<string, string>;

export interface Question {
  /** Name of the flag that answers it: `--path`. */
  readonly flag: string;
  readonly text: string;
  /** What Enter stands for; empty: nothing. */
  readonly otherwise: string;
  readonly takes: string;
  /** False for an answer that can't be. */
  readonly fits: (answer: string) => boolean;
  readonly secret?: true;
  /** Input types that it is asked for; all of them where absent. */
  readonly types?: readonly string[];
}

const parses = (kind: Kind<unknown>, text: string): boolean => {
  try {
    kind.parse(text);
    return true;
  } catch (error) {
    if (error instanceof BadValue) return false;
    throw error;
  }
};

interface Asked {
  readonly types?: readonly string[];
  readonly otherwise?: string;
  readonly secret?: true;
  /** Nothing at all is an answer too. */
  readonly optional?: true;
}

const asked = (flag: string, kind: Kind<unknown>, text: string, rest: Asked = {}): Question => ({
  flag,
  text,
  otherwise: rest.otherwise ?? "",
  takes: kind.takes,
  fits: (answer) => (answer === "" ? rest.optional === true : parses(kind, answer)),
  ...(rest.types ? { types: rest.types } : {}),
  ...(rest.secret ? { secret: rest.secret } : {}),
});

const YES_NO: Kind<string> = { ...oneOf("y", "n", "yes", "no"), takes: "y or n" };
const LOGINS = ["ftp", "sftp", "scp", "rsync"] as const;
const KEYS = ["sftp", "scp", "rsync"] as const;

export const INPUT_TYPE = asked(
  "type",
  V.inputType.kind,
  "Where are your video files? filesystem, http, s3, ftp, sftp, scp or rsync",
  { otherwise: "filesystem" },
);

/** In the order in which they are asked. */
export const QUESTIONS: readonly Question[] = [
  INPUT_TYPE,
  asked("path", V.videoParentPath.kind, "The folder that they are in", {
    types: ["filesystem"],
    otherwise: `${homedir()}/Videos`,
  }),
  asked("url", V.httpUrl.kind, "The address that their paths come behind", { types: ["http"] }),
  asked("bucket", V.s3Bucket.kind, "The bucket", { types: ["s3"] }),
  asked("endpoint", V.s3Endpoint.kind, "The S3 server's address (Enter: Amazon)", { types: ["s3"], optional: true }),
  asked("region", V.s3Region.kind, "The bucket's region", { types: ["s3"], otherwise: "us-east-1" }),
  asked("access-key-id", V.s3AccessKeyId.kind, "Access key (Enter: as the AWS SDK finds it)", {
    types: ["s3"],
    optional: true,
  }),
  asked("secret-access-key", V.s3SecretAccessKey.kind, "Its secret", { types: ["s3"], optional: true, secret: true }),
  asked("host", V.scpHost.kind, "The server", { types: LOGINS }),
  asked("module", V.rsyncModule.kind, "Module of the rsync daemon (Enter: rsync over SSH)", {
    types: ["rsync"],
    optional: true,
  }),
  asked("user", V.scpUser.kind, "Whom to log in as (Enter: the usual one)", { types: LOGINS, optional: true }),
  asked("password", V.ftpPassword.kind, "The password (Enter: none)", { types: LOGINS, optional: true, secret: true }),
  asked("keyfile", V.scpKeyfile.kind, "The private SSH key's file (Enter: none)", { types: KEYS, optional: true }),
  asked("folder", V.scpPath.kind, "The folder there (Enter: the one that a login leads to)", {
    types: LOGINS,
    optional: true,
  }),
  asked("cache", YES_NO, "Keep copies of them on this machine?", {
    types: ["filesystem", "http", "s3", "ftp", "sftp"],
    otherwise: "n",
  }),
  asked("server-name", V.serverName.kind, "Server name for absolute addresses in playlists (Enter: relative ones)", {
    optional: true,
  }),
  asked("port", V.packagerPort.kind, "The port to serve at", { otherwise: "5000" }),
];

/** Whether a question makes sense after the answers so far. */
export const isAsked = (question: Question, answers: Answers): boolean => {
  const type = answers.get("type") ?? "";
  if (question.flag === "secret-access-key") return type === "s3" && (answers.get("access-key-id") ?? "") !== "";
  return question.types?.includes(type) ?? true;
};

/** Variables that come from a flag alone, by input type. */
const SOURCE_OPTIONS: Readonly<Record<string, string>> = {
  url: "URL",
  bucket: "BUCKET",
  endpoint: "ENDPOINT",
  region: "REGION",
  "access-key-id": "ACCESS_KEY_ID",
  "secret-access-key": "SECRET_ACCESS_KEY",
  host: "HOST",
  module: "MODULE",
  user: "USER",
  password: "PASSWORD",
  keyfile: "KEYFILE",
  folder: "PATH",
};

const KINDS = ["FILESYSTEM", "HTTP", "S3", "FTP", "SFTP", "SCP", "RSYNC"];

/** What the wizard may write, and so replaces when it is run again. */
export const WRITTEN: ReadonlySet<string> = new Set([
  "HOST_VIDEO_PATH",
  "APP_PORT",
  ...[V.videoParentPath, V.packagerPort, V.inputType, V.serverName, V.useHttps].map(({ env }) => env),
  ...[...Object.values(SOURCE_OPTIONS), "CACHE_INPUT"].flatMap((option) =>
    KINDS.map((kind) => `CASTERPAK_${kind}_${option}`),
  ),
]);

/** The variables for a `.env` file: for Compose (HOST_VIDEO_PATH, APP_PORT) and for a start without it. */
export const variablesOf = (answers: Answers): Map<string, string> => {
  const type = answers.get("type") ?? "filesystem";
  const section = type.toUpperCase();
  const variables = new Map<string, string>();
  const folder = answers.get("path");
  if (folder !== undefined) {
    variables.set("HOST_VIDEO_PATH", folder);
    variables.set(V.videoParentPath.env, folder);
  }
  const port = answers.get("port") ?? "5000";
  variables.set("APP_PORT", port);
  variables.set(V.packagerPort.env, port);
  variables.set(V.inputType.env, type);
  for (const [flag, option] of Object.entries(SOURCE_OPTIONS)) {
    const answer = answers.get(flag);
    if (answer) variables.set(`CASTERPAK_${section}_${option}`, answer);
  }
  const cache = answers.get("cache");
  if (cache !== undefined) variables.set(`CASTERPAK_${section}_CACHE_INPUT`, cache.startsWith("y") ? "True" : "False");
  const server = answers.get("server-name") ?? "";
  if (server !== "") {
    const { host, isHttps } = V.serverName.kind.parse(server);
    variables.set(V.serverName.env, host);
    variables.set(V.useHttps.env, isHttps === true ? "True" : "False");
  }
  return variables;
};
