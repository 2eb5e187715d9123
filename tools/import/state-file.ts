/** What an import remembers between two runs: which file went where. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { z } from "zod";

const Entry = z.object({
  sizeBytes: z.int(),
  modifiedMs: z.number(),
  uploadUrl: z.url(),
  state: z.enum(["sending", "sent", "done", "refused"]),
  reason: z.string().optional(),
});
export type Entry = z.output<typeof Entry>;
const Kept = z.object({ gateway: z.string(), files: z.record(z.string(), Entry) });

/** A file that can't be read, or is of another gateway, is an error: what it knew would be sent again. */
export class StateFile {
  readonly #file: string;
  readonly #gateway: string;
  readonly #files = new Map<string, Entry>();
  #writing: Promise<void> = Promise.resolve();

  constructor(file: string, gateway: string) {
    this.#file = file;
    this.#gateway = gateway;
  }

  async read(): Promise<void> {
    const text = await readFile(this.#file, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return null;
      throw error;
    });
    if (text === null) return;
    const kept = Kept.safeParse(JSON.parse(text));
    if (!kept.success) throw new Error(`${this.#file} is not of an import; name another one with --state`);
    const { gateway } = kept.data;
    if (gateway !== this.#gateway) throw new Error(`${this.#file} is of ${gateway}; name another one with --state`);
    for (const [path, entry] of Object.entries(kept.data.files)) this.#files.set(path, entry);
  }

  /** What is known of a file as it is now. */
  of(path: string, { sizeBytes, modifiedMs }: Pick<Entry, "sizeBytes" | "modifiedMs">): Entry | undefined {
    const entry = this.#files.get(path);
    return entry?.sizeBytes === sizeBytes && entry.modifiedMs === modifiedMs ? entry : undefined;
  }

  set(path: string, entry: Entry): Promise<void> {
    this.#files.set(path, entry);
    this.#writing = this.#writing.catch(() => {}).then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    const kept = { gateway: this.#gateway, files: Object.fromEntries(this.#files) };
    await writeFile(`${this.#file}.new`, `${JSON.stringify(kept, null, 2)}\n`, { mode: 0o600 });
    await rename(`${this.#file}.new`, this.#file);
  }
}
