/** What an import would send: the films below a folder, what titles they become, and what is left out, and why. */
import { open, readdir, stat } from "node:fs/promises";
import path from "node:path";
import { type FileTitle, isMediaFile, titleOfFile } from "../../domain/media-files.ts";

const TS_SYNC = 0x47;

export interface Film {
  /** From the folder on, with `/`. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly title: FileTitle;
}

/** A file, or a folder, that nothing is sent of. */
export interface LeftOut {
  readonly path: string;
  readonly reason: string;
  /** It could not be looked at: there may be films in it. */
  readonly isUnread?: true;
}

export interface Plan {
  readonly films: readonly Film[];
  readonly leftOut: readonly LeftOut[];
}

/** Programs have names like those of transport streams, which begin with 47 every 188 bytes (192 with their times). */
const isOfItsName = async (file: string): Promise<boolean> => {
  if (!/\.m?ts$/i.test(file)) return true;
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(5), 0, 5, 0);
    return bytesRead === 5 && (buffer[0] === TS_SYNC || buffer[4] === TS_SYNC);
  } finally {
    await handle.close();
  }
};

class Finder {
  readonly films: Film[] = [];
  readonly leftOut: LeftOut[] = [];
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** `folder`: from the import's folder on, `""` or ending in `/`. What can't be read is left out. */
  async look(folder: string): Promise<void> {
    const entries = await readdir(path.join(this.#folder, folder), { withFileTypes: true });
    for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = folder + entry.name;
      try {
        if (entry.isDirectory()) await this.look(`${name}/`);
        else if (entry.isSymbolicLink()) await this.#follow(name);
        else if (entry.isFile() && isMediaFile(name)) await this.#take(name);
      } catch (error) {
        this.leftOut.push({ path: name, reason: (error as Error).message, isUnread: true });
      }
    }
  }

  /** Files only: folders may lead in a ring, or to what is here anyway. */
  async #follow(name: string): Promise<void> {
    const found = await stat(path.join(this.#folder, name)).catch((error: unknown) => {
      if (isMediaFile(name)) throw error;
      return null; // it leads nowhere, and never led to a film
    });
    if (found?.isFile() && isMediaFile(name)) await this.#take(name);
    if (found?.isDirectory()) this.leftOut.push({ path: name, reason: "it is a link to a folder" });
  }

  async #take(name: string): Promise<void> {
    const file = path.join(this.#folder, name);
    const { size: sizeBytes, mtimeMs: modifiedMs } = await stat(file);
    if (sizeBytes === 0) this.leftOut.push({ path: name, reason: "it is empty" });
    else if (!(await isOfItsName(file))) this.leftOut.push({ path: name, reason: "it is no transport stream" });
    // With the folders above: an import may begin within a series.
    else this.films.push({ path: name, sizeBytes, modifiedMs, title: titleOfFile(file.split(path.sep).join("/")) });
  }
}

/** Of several files of one episode the largest is taken. */
const onePerEpisode = (films: readonly Film[], leftOut: LeftOut[]): Film[] => {
  const best = new Map<string, Film>();
  const placeOf = ({ title: { place }, path: name }: Film): string =>
    place ? JSON.stringify([place.series.toLowerCase(), place.seriesYear, place.season, place.number]) : name;
  for (const film of films) {
    const other = best.get(placeOf(film));
    if (!other || other.sizeBytes < film.sizeBytes) best.set(placeOf(film), film);
  }
  return films.filter((film) => {
    const taken = best.get(placeOf(film));
    if (taken !== film) leftOut.push({ path: film.path, reason: `it is the same episode as ${taken?.path}` });
    return taken === film;
  });
};

const isFolder = (folder: string): Promise<boolean> =>
  stat(folder).then(
    (found) => found.isDirectory(),
    () => false,
  );

/** Rejects when the folder itself can't be read. */
export const planOf = async (folder: string): Promise<Plan> => {
  if (!(await isFolder(folder))) throw new Error(`${folder} is no folder.`);
  const finder = new Finder(folder);
  await finder.look("");
  const { leftOut } = finder;
  return { films: onePerEpisode(finder.films, leftOut), leftOut };
};

/** `Show (2010), season 1, episode 2: Title`, or `Name (2020)`. */
export const titleText = ({ name, year, place }: FileTitle): string => {
  const yearText = (number: number | undefined): string => (number === undefined ? "" : ` (${number})`);
  if (!place) return `${name}${yearText(year)}`;
  const { series, seriesYear, season, number } = place;
  return `${series}${yearText(seriesYear)}, season ${season}, episode ${number}: ${name}`;
};
