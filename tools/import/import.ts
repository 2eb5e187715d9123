/** `npm start -- import FOLDER`: sends a folder of films to a gateway; run again it goes on where it was. */
import path from "node:path";
import { parseArgs } from "node:util";
import { titleFields } from "../../domain/media-files.ts";
import { type Film, type LeftOut, type Plan, planOf, titleText } from "./plan.ts";
import { ProgressLine, sizeText } from "./progress-line.ts";
import { type Entry, StateFile } from "./state-file.ts";
import { outcomeOf, Refused, type Server, sendFile } from "./tus-client.ts";

const EXIT_USAGE = 64;
const PARALLEL_MAX = 16;
const STATE_NAME = ".castellan-import.json";
const CHECK_DEADLINE_MS = 10 * 60_000; // a file on a busy server is looked at when its turn comes

const HELP = `npm start -- import FOLDER [options]

Sends every film below FOLDER to a gateway by tus. Run again it goes on where it was, and skips what is there.

  Name (2020).mp4                          a movie of 2020 called Name
  Show/Season 01/Show S01E02 Title.mkv     an episode: its series and its season are made, unless they are there
  Show.S01E02.mkv, Show 1x02.mkv           likewise, called Episode 2
  Show (2010)/Specials/01 - Making of.mkv  the first special of the Show of 2010

  --gateway URL    the gateway; else CASTELLAN_GATEWAY, else http://127.0.0.1:8080
  --key KEY        an API key with the scope upload:write; else CASTELLAN_KEY. The key says whose films they are.
  --parallel N     files at a time, 1 to ${PARALLEL_MAX}; 2 unless told
  --state FILE     what is remembered between runs; FOLDER/${STATE_NAME} unless told
  --dry-run        shows what would be sent, as what, and what would be left out; asks no server
  --help           shows this

Ends with 0 when all that was sent is there, 1 when something is not or can't be read, ${EXIT_USAGE} when it is not
understood.
`;

interface Order {
  readonly folder: string;
  readonly gateway: string;
  readonly key: string;
  readonly parallel: number;
  readonly stateFile: string;
  readonly isDryRun: boolean;
}

export interface ImportTools {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly err: NodeJS.WritableStream;
  readonly signal?: AbortSignal;
}

class UsageError extends Error {}

const orderIn = (args: readonly string[], env: ImportTools["env"]): Order | "help" => {
  const options = {
    gateway: { type: "string" },
    key: { type: "string" },
    parallel: { type: "string" },
    state: { type: "string" },
    "dry-run": { type: "boolean" },
    help: { type: "boolean", short: "h" },
  } as const;
  const { values, positionals } = (() => {
    try {
      return parseArgs({ args: [...args], options, allowPositionals: true });
    } catch (error) {
      throw new UsageError((error as Error).message);
    }
  })();
  if (values.help) return "help";
  const [folder, ...more] = positionals;
  if (folder === undefined || more.length > 0) throw new UsageError("one folder is needed");
  const gateway = values.gateway ?? env.CASTELLAN_GATEWAY ?? "http://127.0.0.1:8080";
  if (!/^https?:$/.test(URL.parse(gateway)?.protocol ?? "")) throw new UsageError(`"${gateway}" is no http address`);
  const parallel = Number(values.parallel ?? 2);
  if (!Number.isInteger(parallel) || parallel < 1 || parallel > PARALLEL_MAX) {
    throw new UsageError(`--parallel takes 1 to ${PARALLEL_MAX}`);
  }
  const isDryRun = values["dry-run"] === true;
  const key = values.key ?? env.CASTELLAN_KEY ?? "";
  if (key === "" && !isDryRun) throw new UsageError("a key is needed: --key or CASTELLAN_KEY");
  const stateFile = path.resolve(values.state ?? path.join(folder, STATE_NAME));
  return { folder: path.resolve(folder), gateway: new URL(gateway).origin, key, parallel, stateFile, isDryRun };
};

type Ending = "sent" | "skipped" | "failed";

class Import {
  readonly #order: Order;
  readonly #server: Server;
  readonly #state: StateFile;
  readonly #line: ProgressLine;
  readonly #missing: LeftOut[] = [];

  constructor(order: Order, line: ProgressLine, signal: AbortSignal) {
    this.#order = order;
    this.#line = line;
    this.#server = { gateway: order.gateway, key: order.key, signal };
    this.#state = new StateFile(order.stateFile, order.gateway);
  }

  /** What is not there after all, and why. */
  get missing(): readonly LeftOut[] {
    return this.#missing;
  }

  async run(films: readonly Film[]): Promise<Readonly<Record<Ending, number>>> {
    await this.#state.read();
    const counts = { sent: 0, skipped: 0, failed: 0 };
    const left = films[Symbol.iterator]();
    const work = async (): Promise<void> => {
      for (const film of left) counts[await this.#take(film)] += 1;
    };
    await Promise.all(Array.from({ length: this.#order.parallel }, work));
    return counts;
  }

  async #take(film: Film): Promise<Ending> {
    const known = this.#state.of(film.path, film);
    if (known?.state === "done") {
      this.#line.skip(film.sizeBytes);
      return "skipped";
    }
    if (known?.state === "refused") {
      this.#line.skip(film.sizeBytes);
      return this.#miss(film, `refused before: ${known.reason ?? "no reason given"}`);
    }
    try {
      return await this.#send(film, known);
    } catch (error) {
      this.#server.signal.throwIfAborted();
      if (error instanceof Refused && (error.status === 401 || error.status === 403)) throw error;
      return this.#miss(film, (error as Error).message);
    }
  }

  #miss({ path: name }: Film, reason: string): Ending {
    this.#missing.push({ path: name, reason });
    this.#line.say(`${name}: ${reason}`);
    return "failed";
  }

  async #send(film: Film, known: Entry | undefined): Promise<Ending> {
    const { sizeBytes, modifiedMs } = film;
    const keep = (uploadUrl: string, state: Entry["state"], reason?: string) =>
      this.#state.set(film.path, { sizeBytes, modifiedMs, uploadUrl, state, ...(reason ? { reason } : {}) });
    const file = path.join(this.#order.folder, ...film.path.split("/"));
    const progress = this.#line.begin(film.path);
    const url = await sendFile(this.#server, {
      ...{ file, sizeBytes, progress },
      metadata: { filename: path.posix.basename(film.path).slice(-255), ...titleFields(film.title) },
      uploadUrl: known?.uploadUrl ?? null,
      began: (uploadUrl) => keep(uploadUrl, "sending"),
    });
    await keep(url, "sent");
    const outcome = await outcomeOf(this.#server, url, CHECK_DEADLINE_MS);
    if (outcome === null) this.#line.say(`${film.path}: sent, and still being looked at`);
    else if (outcome.state === "done") await keep(url, "done");
    else {
      const reason = outcome.error ?? outcome.state;
      if (outcome.state === "refused") await keep(url, "refused", reason);
      return this.#miss(film, reason);
    }
    return "sent";
  }
}

const listOf = (found: readonly LeftOut[]): string =>
  found.map(({ path: name, reason }) => `  ${name}: ${reason}\n`).join("");

const planText = ({ films, leftOut }: Plan): string => {
  const lines = films.map(
    ({ path: name, sizeBytes, title }) =>
      `${sizeText(sizeBytes).padStart(10)}  ${name}  →  ${title.kind}: ${titleText(title)}\n`,
  );
  const bytes = films.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const series = new Set(
    films.flatMap(({ title: { place } }) => (place ? [`${place.series} ${place.seriesYear}`] : [])),
  );
  const ofSeries = series.size > 0 ? `, episodes of ${series.size} series among them` : "";
  const left = leftOut.length > 0 ? `Left out:\n${listOf(leftOut)}` : "";
  return `${lines.join("")}${left}${films.length} films${ofSeries}, ${sizeText(bytes)}\n`;
};

const obey = async (order: Order, { out, signal }: ImportTools): Promise<number> => {
  const plan = await planOf(order.folder);
  const { films, leftOut } = plan;
  if (order.isDryRun) {
    out.write(planText(plan));
    return 0;
  }
  const line = new ProgressLine(
    out,
    films.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  );
  try {
    const run = new Import(order, line, signal ?? new AbortController().signal);
    const { sent, skipped, failed } = await run.run(films);
    line.end();
    if (leftOut.length > 0) out.write(`Left out:\n${listOf(leftOut)}`);
    if (failed > 0) out.write(`Not there:\n${listOf(run.missing)}`);
    out.write(`${sent} sent, ${skipped} there before, ${failed} failed, of ${films.length} films.\n`);
    return failed > 0 || leftOut.some(({ isUnread }) => isUnread) ? 1 : 0;
  } finally {
    line.end();
  }
};

/** The exit status. */
export const importFolder = async (args: readonly string[], tools: ImportTools): Promise<number> => {
  try {
    const order = orderIn(args, tools.env);
    if (order !== "help") return await obey(order, tools);
    tools.out.write(HELP);
    return 0;
  } catch (error) {
    const isUsage = error instanceof UsageError;
    const more = isUsage ? "; `npm start -- import --help` shows what is understood" : "";
    tools.err.write(`castellan: import: ${(error as Error).message}${more}\n`);
    return isUsage ? EXIT_USAGE : 1;
  }
};
