/** What names of files say: whether they look like films, and what title is meant. Pure. */

/** Containers that are looked for in folders and buckets; what is sent by name alone is judged by its content. */
export const MEDIA_EXTENSIONS: readonly string[] = [
  ...["3gp", "asf", "avi", "dv", "f4v", "flv", "gxf", "m2ts", "m4v", "mj2", "mkv", "mov", "mp4", "mpeg", "mpg", "mts"],
  ...["mxf", "nut", "ogm", "ogv", "qt", "rm", "rmvb", "ts", "vob", "webm", "wmv"],
];

export const isMediaFile = (path: string): boolean => {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const extension = /\.([a-z0-9]{2,5})$/i.exec(name)?.[1]?.toLowerCase() ?? "";
  return !name.startsWith(".") && MEDIA_EXTENSIONS.includes(extension);
};

/** Where an episode belongs. */
export interface EpisodePlace {
  readonly series: string;
  readonly seriesYear?: number;
  /** 0: specials. */
  readonly season: number;
  readonly number: number;
}

export interface FileTitle {
  readonly name: string;
  readonly kind: "movie" | "episode" | "clip";
  readonly year?: number;
  readonly place?: EpisodePlace;
}

const EXTENSION = /\.[a-z0-9]{2,5}$/i;
/** `S01E02`, `s1.e2`, `S01E02-E03`, `S2019E01`: of several the first. */
const EPISODE = /^(.*?)(?<![a-z0-9])s(\d{1,4})[\s._-]*e(\d{1,4})(?:[\s._-]*e\d{1,4}|-\d{2,4})*(?![a-z0-9])(.*)$/i;
const EPISODE_X = /^(.*?)(?<![a-z0-9])(\d{1,2})x(\d{2,3})(?:-(?:\d{1,2}x)?\d{2,3})*(?![a-z0-9])(.*)$/i;
/** In the folder of a season the number is enough: `E02 Title`, `Show - Episode 2`, `02 - Title`. */
const NUMBER_NAMED = /^(.*?)(?<![a-z0-9])(?:e|ep|episode)[\s._-]*(\d{1,4})(?![a-z0-9])(.*)$/i;
const NUMBER_FIRST = /^()(\d{1,3})(?![a-z0-9])(.*)$/i;
const SEASON_FOLDER = /^(?:season|series|staffel|saison|temporada|stagione|s)[\s._-]*(\d{1,4})(?!\d)/i;
const SPECIALS_FOLDER = /^specials?$/i;
const YEAR_IN_BRACKETS = /^(.+?)[\s._-]*[([]((?:19|20)\d{2})[)\]]/;
/** Without brackets only where what follows is of the trade: `Blade.Runner.2049.mkv` is a name. */
const YEAR_BEFORE_QUALITY = /^(.+?)[\s._]+((?:19|20)\d{2})[\s._]+(?:\d{3,4}[pi]|4k|uhd|blu-?ray|web|hdtv|dvd|x26[45])/i;
/** From here on a name speaks of the file, and not of the film. */
const QUALITY =
  /(?:^|[\s._([-]+)(?:\d{3,4}[pi]|4k|uhd|blu-?ray|web-?(?:dl|rip)|hdtv|dvd-?rip|[xh]\.?26[45]|hevc)(?![a-z0-9]).*$/i;
const NAME_MAX = 500;

const spoken = (text: string): string => {
  const words = /\s/.test(text.trim()) ? text : text.replace(/[._]+/g, " ");
  return words
    .replace(/\s+/g, " ")
    .replace(/^[\s._-]+|[\s_-]+$/g, "")
    .slice(0, NAME_MAX);
};

const seasonOf = (folder: string): number | null => {
  if (SPECIALS_FOLDER.test(folder)) return 0;
  const [, number] = SEASON_FOLDER.exec(folder) ?? [];
  return number === undefined ? null : Number(number);
};

const seriesOf = (text: string): Pick<EpisodePlace, "series" | "seriesYear"> => {
  const [, name, year] = YEAR_IN_BRACKETS.exec(text) ?? [];
  return name === undefined ? { series: spoken(text) } : { series: spoken(name), seriesYear: Number(year) };
};

interface Numbered {
  /** What is before the number, and behind it. */
  readonly before: string;
  readonly behind: string;
  readonly season: number;
  readonly number: number;
}

const numberedIn = (stem: string, seasonHere: number | null): Numbered | null => {
  const [, before, season, number, behind = ""] = EPISODE.exec(stem) ?? EPISODE_X.exec(stem) ?? [];
  if (before !== undefined) return { before, behind, season: Number(season), number: Number(number) };
  if (seasonHere === null) return null;
  const [, front, alone, rest = ""] = NUMBER_NAMED.exec(stem) ?? NUMBER_FIRST.exec(stem) ?? [];
  return front === undefined ? null : { before: front, behind: rest, season: seasonHere, number: Number(alone) };
};

/** Of an episode without a name of its own, and of a season. */
export const episodeName = (number: number): string => `Episode ${number}`;
export const seasonName = (season: number): string => (season === 0 ? "Specials" : `Season ${season}`);

/**
 * What a path says: `Show/Season 01/Show S01E02 Title.mkv`, `Show.S01E02.mkv`, `Show 1x02.avi`, and, in the folder of a
 * season, `02 - Title.mkv` are episodes; `Name (2020).mp4` is Name, of 2020; all else is a film of its file's name. A
 * series is named by the folder that its season's folder is in, else by what is before the number, else by its folder.
 */
export const titleOfFile = (path: string): FileTitle => {
  const folders = path.split("/").filter((part) => part !== "");
  const file = folders.pop() ?? "";
  const stem = file.replace(EXTENSION, "");
  const parent = folders.at(-1) ?? "";
  const seasonHere = seasonOf(parent);
  const numbered = numberedIn(stem, seasonHere);
  if (numbered !== null) {
    const { before, behind, season, number } = numbered;
    const above = seasonHere === null ? "" : (folders.at(-2) ?? "");
    const named = [above, before, seasonHere === null ? parent : ""].map(seriesOf).find(({ series }) => series !== "");
    if (!named) return { name: spoken(stem), kind: "episode" };
    const title = spoken(behind.replace(/\[[^\]]*\]/g, " ").replace(QUALITY, ""));
    return { name: title || episodeName(number), kind: "episode", place: { ...named, season, number } };
  }
  const [, film, year] = YEAR_IN_BRACKETS.exec(stem) ?? YEAR_BEFORE_QUALITY.exec(stem) ?? [];
  if (film !== undefined) return { name: spoken(film), kind: "movie", year: Number(year) };
  return { name: spoken(stem) || file.slice(0, NAME_MAX), kind: "movie" };
};

/** What a file's name says, as the fields of `Upload-Metadata` that make its title. */
export const titleFields = ({ name, kind, year, place }: FileTitle): Readonly<Record<string, string>> => ({
  name,
  kind,
  ...(year === undefined ? {} : { year: String(year) }),
  ...(place === undefined ? {} : { series: place.series, season: String(place.season), episode: String(place.number) }),
  ...(place?.seriesYear === undefined ? {} : { seriesYear: String(place.seriesYear) }),
});
