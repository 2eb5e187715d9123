/**
 * Sources that stall, break off or change while they are read: a viewer is told in time, and the next request works.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { startTestPackager, type TestPackager } from "../../actors/packager/packager.fixture.ts";
import { stampedFilms } from "./films.ts";
import { type Behaviour, type Content, type Origin, startOrigin } from "./origin.ts";

const IDLE_SECONDS = 1;
/** A connection, the wait, a second try of what was replaced: four seconds, and as much again for a busy machine. */
const ANSWER_MS_MAX = 8_000;
const PATH = "media/film.mp4";
const SEGMENT = "segment2_0_av.ts";
const LATER_SEGMENT = "segment4_0_av.ts";
const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

let films: readonly Content[] = [];
/** Of the first segment that is asked for, of each film. */
let truth: readonly string[] = [];
const closing: (() => void | Promise<void>)[] = [];

interface Answer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly tookMs: number;
  readonly text: string;
  /** Of a 200. */
  readonly digest: string;
}

const ask = async ({ url }: TestPackager, path: string): Promise<Answer> => {
  const from = performance.now();
  const response = await fetch(url + path, { signal: AbortSignal.timeout(30_000) });
  const bytes = new Uint8Array(await response.arrayBuffer());
  const tookMs = performance.now() - from;
  const text = response.status === 200 ? "" : Buffer.from(bytes).toString();
  const { status, headers } = response;
  return { status, retryAfter: headers.get("retry-after"), tookMs, text, digest: digest(bytes) };
};

const HTTP = (origin: Origin) => ({
  CASTERPAK_INPUT_INPUT_TYPE: "http",
  CASTERPAK_HTTP_URL: `${origin.url}/media`,
});
const S3 = (origin: Origin) => ({
  CASTERPAK_INPUT_INPUT_TYPE: "s3",
  CASTERPAK_S3_BUCKET: "media",
  CASTERPAK_S3_ENDPOINT: origin.url,
  CASTERPAK_S3_ACCESS_KEY_ID: "test",
  CASTERPAK_S3_SECRET_ACCESS_KEY: "test",
});
const cached = (section: string) => ({ [`CASTERPAK_${section}_CACHE_INPUT`]: "True" });

interface Kind {
  readonly name: string;
  readonly envOf: (origin: Origin) => Readonly<Record<string, string>>;
}
const KINDS: readonly Kind[] = [
  { name: "HTTP", envOf: HTTP },
  { name: "HTTP through the input cache", envOf: (origin) => ({ ...HTTP(origin), ...cached("HTTP") }) },
  {
    name: "HTTP copied whole",
    envOf: (origin) => ({ ...HTTP(origin), ...cached("HTTP"), CASTERPAK_HTTP_RANGES: "off" }),
  },
  { name: "S3", envOf: S3 },
  { name: "S3 through the input cache", envOf: (origin) => ({ ...S3(origin), ...cached("S3") }) },
];

interface Stage {
  readonly origin: Origin;
  readonly packager: TestPackager;
}

/** A packager of a kind that serves while its suite runs. */
const staged = ({ envOf }: Kind): (() => Stage) => {
  const cleanings: (() => void | Promise<void>)[] = [];
  const t = { after: (clean: () => void | Promise<void>) => void cleanings.push(clean) };
  let stage: Stage | undefined;
  before(async () => {
    const origin = await startOrigin(t, new Map());
    const env = {
      ...envOf(origin),
      CASTERPAK_OUTPUT_SEGMENTDURATION: "1",
      CASTERPAK_INPUT_CONNECT_TIMEOUT: String(IDLE_SECONDS),
      CASTERPAK_INPUT_IDLE_TIMEOUT: String(IDLE_SECONDS),
    };
    stage = { origin, packager: await startTestPackager({ after: t.after }, { env }) };
  });
  after(async () => {
    for (const clean of cleanings.reverse()) await clean();
  });
  return () => stage ?? assert.fail("not before the suite runs");
};

before(async () => {
  films = await stampedFilms({ after: async () => {} }, 2);
  const t = { after: (clean: () => void | Promise<void>) => void closing.push(clean) };
  const digests: string[] = [];
  for (const film of films) {
    const origin = await startOrigin(t, new Map([[PATH, film]]));
    const env = { ...HTTP(origin), CASTERPAK_OUTPUT_SEGMENTDURATION: "1" };
    const packager = await startTestPackager({ after: (clean) => void closing.push(clean) }, { env });
    const answer = await ask(packager, `/i/film.mp4/${SEGMENT}`);
    assert.equal(answer.status, 200, answer.text);
    digests.push(answer.digest);
  }
  for (const close of closing.reverse()) await close();
  truth = digests;
  assert.notEqual(truth[0], truth[1]);
});

/** Statuses that a viewer may get while the source is so. */
const TROUBLE: Readonly<Partial<Record<Behaviour, readonly number[]>>> = {
  stalls: [504],
  silent: [504],
  cut: [502, 504],
  reset: [502, 504],
  unavailable: [502, 503],
  broken: [502],
};

const WORDS: Readonly<Partial<Record<Behaviour, string>>> = {
  stalls: "stalls in the middle",
  silent: "says nothing",
  cut: "breaks off in the middle",
  reset: "resets its connections",
  unavailable: "is unavailable",
  broken: "fails",
};

const assertTrouble = ({ status, text, retryAfter, tookMs }: Answer, statuses: readonly number[]): void => {
  assert.ok(statuses.includes(status), `${status} ${text}`);
  assert.match(retryAfter ?? "", /^\d+$/, "it may be tried again");
  assert.ok(tookMs < ANSWER_MS_MAX, `${tookMs} ms`);
};

for (const kind of KINDS) {
  describe(kind.name, () => {
    const stage = staged(kind);

    for (const [behaviour, statuses] of Object.entries(TROUBLE) as [Behaviour, readonly number[]][]) {
      test(`a source that ${WORDS[behaviour]} is told in time, and the next request works`, async () => {
        const { origin, packager } = stage();
        const file = `${behaviour}.mp4`;
        origin.files.set(`media/${file}`, films[0] ?? assert.fail());
        origin.behave = () => behaviour;
        const first = await ask(packager, `/i/${file}/${SEGMENT}`);
        origin.behave = () => "well";
        assertTrouble(first, statuses);
        assert.equal((await ask(packager, `/i/${file}/${SEGMENT}`)).digest, truth[0]);
        // The index is known now: it is media that the source does not give, unless they are in a cache.
        origin.behave = (request) => (request.method === "HEAD" ? "well" : behaviour);
        const later = await ask(packager, `/i/${file}/${LATER_SEGMENT}`);
        origin.behave = () => "well";
        if (later.status !== 200) assertTrouble(later, statuses);
        assert.equal((await ask(packager, `/i/${file}/${LATER_SEGMENT}`)).status, 200);
      });
    }

    test("a source that answers with less than it was asked for gives the same bytes", async () => {
      const { origin, packager } = stage();
      origin.files.set("media/short.mp4", films[0] ?? assert.fail());
      origin.behave = () => "short";
      const { status, digest: got, text } = await ask(packager, `/i/short.mp4/${SEGMENT}`);
      assert.ok((status === 200 && got === truth[0]) || status === 502, `${status} ${text}`);
    });

    test("a file that is replaced between any two reads is one or the other, never a mix", async () => {
      const { origin, packager } = stage();
      const [path, address] = ["media/replaced.mp4", `/i/replaced.mp4/${SEGMENT}`];
      for (let round = 0; round < 12; round += 1) {
        const [older = assert.fail(), newer = assert.fail()] = round % 2 === 0 ? films : films.toReversed();
        origin.files.set(path, older);
        let reads = 0;
        origin.behave = () => {
          reads += 1; // replaced before the n-th one: index and media come from different moments
          if (reads === 1 + (round % 6)) origin.files.set(path, newer);
          return "well";
        };
        const answer = await ask(packager, address);
        assert.equal(answer.status, 200, `round ${round}: ${answer.text}`);
        assert.ok(truth.includes(answer.digest), `a mix in round ${round}`);
        origin.behave = () => "well";
        const present = truth[films.indexOf(origin.files.get(path) ?? newer)];
        assert.equal((await ask(packager, address)).digest, present, `round ${round}`);
      }
    });
  });
}
