/** What the simulator knows: films, series, people and pictures of its own invention, the same at every start. */

export interface SimPerson {
  readonly id: number;
  readonly name: string;
  readonly birthday: string | null;
  readonly deathday: string | null;
  readonly place: string;
  readonly department: string;
}
export interface SimCredit {
  readonly person: SimPerson;
  readonly creditId: string;
  readonly character: string | null;
  readonly department: string | null;
  readonly job: string | null;
}
export interface SimMovie {
  readonly id: number;
  readonly title: string;
  readonly originalTitle: string;
  readonly originalLanguage: string;
  readonly date: string;
  readonly runtime: number;
  readonly genres: readonly number[];
  readonly cast: readonly SimCredit[];
  readonly crew: readonly SimCredit[];
  readonly german: string;
}
export interface SimSeries extends Omit<SimMovie, "runtime"> {
  readonly seasons: readonly { readonly number: number; readonly episodeCount: number; readonly date: string }[];
}

export const GENRES: ReadonlyMap<number, readonly [english: string, german: string]> = new Map([
  [28, ["Action", "Action"]],
  [12, ["Adventure", "Abenteuer"]],
  [16, ["Animation", "Animation"]],
  [35, ["Comedy", "Komödie"]],
  [80, ["Crime", "Krimi"]],
  [18, ["Drama", "Drama"]],
  [878, ["Science Fiction", "Science Fiction"]],
  [9648, ["Mystery", "Mystery"]],
]);
const GENRE_IDS = [...GENRES.keys()];

const FIRST = [
  "Ada",
  "Béla",
  "Chidi",
  "Dario",
  "Elif",
  "Fatou",
  "Goran",
  "Hana",
  "Ines",
  "Jón",
  "Kwame",
  "Léa",
  "Mira",
];
const SECOND = [
  ...["Abel", "Brandt", "Castañeda", "Dvořák", "Eriksen", "Fofana", "Grau", "Hossain", "Ito", "Jansen", "Kovács"],
  ...["Lindqvist", "Moreau", "Nakamura", "Okafor", "Petrov", "Quist"],
];
const DEPARTMENTS = ["Acting", "Acting", "Acting", "Directing", "Writing", "Camera", "Sound", "Production"];
const PLACES = ["Tallinn, Estonia", "Lagos, Nigeria", "Graz, Austria", "Dhaka, Bangladesh", "Porto, Portugal"];

const two = (value: number): string => String(value).padStart(2, "0");
const dayOf = (year: number, seed: number): string => `${year}-${two(1 + (seed % 12))}-${two(1 + (seed % 28))}`;
const pick = <T>(items: readonly T[], at: number): T => items[at % items.length]!; // no list here is empty

export const PEOPLE: readonly SimPerson[] = Array.from({ length: 200 }, (_, index) => ({
  id: 5_001 + index,
  name: `${pick(FIRST, index)} ${pick(SECOND, Math.floor(index / FIRST.length))}`,
  birthday: index % 9 === 4 ? null : dayOf(1930 + (index % 65), index),
  deathday: index % 23 === 7 ? dayOf(2001 + (index % 20), index) : null,
  place: pick(PLACES, index),
  department: pick(DEPARTMENTS, index),
}));
const ACTORS = PEOPLE.filter(({ department }) => department === "Acting");
const directorAt = (at: number) =>
  pick(
    PEOPLE.filter(({ department }) => department === "Directing"),
    at,
  );
const writerAt = (at: number) =>
  pick(
    PEOPLE.filter(({ department }) => department === "Writing"),
    at,
  );

const castOf = (id: number): SimCredit[] =>
  Array.from({ length: 4 + (id % 9) }, (_, index) => ({
    person: pick(ACTORS, id * 5 + index),
    creditId: `c${id.toString(16)}a${index}`,
    character: `${pick(FIRST, id + index)} ${pick(["Stone", "Vale", "Reed", "Marsh"], id + index)}`,
    department: null,
    job: null,
  }));
const crewOf = (id: number): SimCredit[] => {
  const crew = (person: SimPerson, department: string, job: string) => ({
    person,
    creditId: `c${id.toString(16)}${department.slice(0, 1).toLowerCase()}${job.length}`,
    character: null,
    department,
    job,
  });
  return [crew(directorAt(id), "Directing", "Director"), crew(writerAt(id), "Writing", "Screenplay")];
};

/** Names that are alike, with accents, numbers and articles: what a search has to tell apart. */
const MOVIE_NAMES: readonly (readonly [title: string, year: number, original?: string, language?: string])[] = [
  ["The Glass Harbour", 1999],
  ["The Glass Harbour", 2017],
  ["Glass Harbour: Return", 2021],
  ["Amélie's Orchard", 2001, "Le Verger d'Amélie", "fr"],
  ["Seven Winters", 1995],
  ["Se7en Winters", 2008],
  ["2049: A Quiet Orbit", 2013],
  ["1984 Days", 1984],
  ["Der lange Weg", 2006, "Der lange Weg", "de"],
  ["Kısa Gece", 2015, "Kısa Gece", "tr"],
  ["月の橋", 2019, "月の橋", "ja"],
  ["Ночной трамвай", 2011, "Ночной трамвай", "ru"],
  ["Up", 2009],
  ["It", 2017],
];
const ADJECTIVES = ["Silent", "Broken", "Golden", "Last", "Hidden", "Burning", "Paper", "Iron", "Distant"];
const NOUNS = ["River", "Signal", "Garden", "Winter", "Kingdom", "Engine"];

const movieAt = (index: number): SimMovie => {
  const [title, year, originalTitle = title, originalLanguage = "en"] = MOVIE_NAMES[index] ?? [
    `The ${pick(ADJECTIVES, index)} ${pick(NOUNS, Math.floor(index / 3))}`,
    1960 + ((index * 7) % 64),
  ];
  const id = 101 + index;
  return {
    ...{ id, title, originalTitle, originalLanguage, date: dayOf(year, id), runtime: 78 + (id % 90) },
    genres: [pick(GENRE_IDS, id), pick(GENRE_IDS, id + 3)],
    ...{ cast: castOf(id), crew: crewOf(id), german: `${title} (deutsch)` },
  };
};
export const MOVIES: readonly SimMovie[] = Array.from({ length: 54 }, (_, index) => movieAt(index));

const SERIES_NAMES: readonly (readonly [name: string, year: number, seasons: number])[] = [
  ["Harbour Lights", 2012, 3],
  ["The Cartographers", 2019, 2],
  ["Dr. Okafor", 2005, 1],
  ["Harbour Lights", 1974, 1],
];
export const SERIES: readonly SimSeries[] = SERIES_NAMES.map(([title, year, count], index) => {
  const id = 901 + index;
  return {
    ...{ id, title, originalTitle: title, originalLanguage: "en", date: dayOf(year, id), genres: [18, 80] },
    ...{ cast: castOf(id), crew: crewOf(id), german: `${title} (deutsch)` },
    seasons: Array.from({ length: count }, (_, at) => ({
      ...{ number: at + 1, episodeCount: 4 + ((id + at) % 5), date: dayOf(year + at, id) },
    })),
  };
});

export interface SimPicture {
  readonly path: string;
  readonly language: string | null;
  readonly width: number;
  readonly height: number;
  readonly vote: number;
}
const SHAPES = {
  poster: [1000, 1500],
  backdrop: [1280, 720],
  still: [640, 360],
  profile: [400, 600],
  logo: [400, 160],
};
export type Shape = keyof typeof SHAPES;

/** Names look as theirs do; the number is in them. */
const pathOf = (shape: Shape, id: number, at: number): string =>
  `/${shape}${id}x${at}kQ${(id * 7 + at).toString(36)}.${shape === "logo" ? "png" : "jpg"}`;

export const pictureOf = (shape: Shape, id: number, at: number, language: string | null = null): SimPicture => {
  const [width = 0, height = 0] = SHAPES[shape];
  return { path: pathOf(shape, id, at), language, width, height, vote: 5.5 - at };
};
/** What a path means; undefined for one that was never given out. */
export const readPicturePath = (path: string): { shape: Shape; seed: number } | undefined => {
  const [, shape = "", id = "", at = ""] = /^\/([a-z]+)(\d+)x(\d+)kQ[0-9a-z]+\.(?:jpg|png)$/.exec(path) ?? [];
  if (!(shape in SHAPES) || pathOf(shape as Shape, Number(id), Number(at)) !== path) return undefined;
  return { shape: shape as Shape, seed: Number(id) * 10 + Number(at) };
};
export const sizeOfShape = (shape: Shape): { readonly width: number; readonly height: number } => {
  const [width = 0, height = 0] = SHAPES[shape];
  return { width, height };
};

/** Posters in the original, English and German; backdrops without words; one logo. */
export const imagesOf = (id: number) => ({
  posters: [pictureOf("poster", id, 0, "en"), pictureOf("poster", id, 1, "de"), pictureOf("poster", id, 2)],
  backdrops: [pictureOf("backdrop", id, 0), pictureOf("backdrop", id, 1, "en")],
  logos: [pictureOf("logo", id, 0, "en")],
});
