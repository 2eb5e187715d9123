/** Request bodies shown in the API reference, by the name of the ask. */
interface Example {
  readonly summary: string;
  readonly value: unknown;
}

export const EXAMPLES: Readonly<Record<string, Readonly<Record<string, Example>>>> = {
  "channel.create": {
    multicast: {
      summary: "UDP multicast, two origins",
      value: {
        name: "BBC World",
        sid: 1001,
        quality: "HD",
        sourceType: "udp",
        ingestConfig: {
          chunkDuration: "4000ms",
          fragmentDuration: "200ms",
          forceClean: true,
          netTimeout: "500ms",
        },
        transcodeConfig: { profile: "hd" },
        origins: [
          { streamerId: 1, ingestUrl: "udp://239.0.21.41:5000?fifo_size=1000000&overrun_nonfatal=1" },
          { streamerId: 2, ingestUrl: "udp://239.0.21.41:5000?fifo_size=1000000&overrun_nonfatal=1" },
        ],
      },
    },
    loop: {
      summary: "pl:/// loop (ingestUrl of the origins is ignored)",
      value: {
        name: "My Loop",
        sourceType: "pl",
        ingestConfig: { url: "pl:///demo" },
        origins: [{ streamerId: 1 }, { streamerId: 2 }],
      },
    },
    ladder: {
      summary: "HLS pull with an inline ladder",
      value: {
        name: "CNN HD",
        sourceType: "hls",
        ingestConfig: { url: "https://example.com/live/cnn/master.m3u8" },
        transcodeConfig: {
          ladder: [
            { height: 720, videoKbps: 3000 },
            { height: 360, videoKbps: 700 },
          ],
        },
        origins: [{ streamerId: 1 }],
      },
    },
  },
  "fleet.publishConfig": {
    site: {
      summary: "One customer's hostname in front of its own origin",
      value: {
        customers: [
          {
            id: "acme",
            sites: [
              {
                hostnames: ["cdn.acme.example"],
                origins: [{ id: "a", url: "https://origin.acme.example" }],
                rules: [
                  { suffixes: [".m3u8"], cache: "honour", ttl: "2s" },
                  { cache: "honour", ttl: "1h" },
                ],
              },
            ],
          },
        ],
      },
    },
  },
  "fleet.rollbackConfig": {
    former: { summary: "Back to a former revision", value: { revision: 1795305000 } },
  },
  "fleet.purgePackagers": {
    files: {
      summary: "A set with all of its renditions, and everything below a folder",
      value: { urls: ["https://video.example.net/i/film_,low,high,.mp4.csmil/master.m3u8", "/i/trailers/*"] },
    },
    all: { summary: "Everything that is cached", value: { all: true } },
  },
  "fleet.purgeEdges": {
    film: { summary: "All that begins so", value: { hostname: "cdn.acme.example", prefix: "/vod/film-7/" } },
    tag: { summary: "A tag, softly", value: { hostname: "cdn.acme.example", tag: "film-7", soft: true } },
  },
  "channel.patch": {
    rename: { summary: "Rename; the stream id stays", value: { name: "BBC World News" } },
    ladder: { summary: "Back to the default ladder", value: { transcodeConfig: null } },
  },
  "channel.addOrigin": {
    origin: {
      summary: "One more streamer",
      value: { streamerId: 3, ingestUrl: "udp://239.0.21.41:5000?fifo_size=1000000" },
    },
  },
  "streamer-registry.create": {
    castis: {
      summary: "A castis node",
      value: { name: "castis-1", kind: "castis", baseUrl: "http://castis-1.example.net:8080", streamsMax: 40 },
    },
  },
  "catalog.createTitle": {
    movie: {
      summary: "A film",
      value: {
        kind: "movie",
        name: "Amélie",
        originalName: "Le Fabuleux Destin d'Amélie Poulain",
        year: 2001,
        ratings: [{ country: "DE", system: "FSK", certification: "6", age: 6 }],
        genres: ["comedy"],
        externalIds: { imdb: "tt0211915" },
        translations: { de: { name: "Die fabelhafte Welt der Amélie" } },
        autoPublish: true,
      },
    },
    episode: {
      summary: "An episode of a season",
      value: { kind: "episode", name: "Secrets", parentId: "019a0000-0000-7000-8000-000000000002", number: 1 },
    },
  },
  "catalog.patchTitle": {
    texts: {
      summary: "A text in one language; another one goes",
      value: { translations: { de: { tagline: "Neu" }, fr: null } },
    },
    window: { summary: "Until the end of the year", value: { availableUntil: "2030-12-31T23:59:59Z" } },
  },
  "catalog.editTitles": {
    filter: {
      summary: "All films of a genre, first as a dry run",
      value: { filter: { kind: "movie", genre: "comedy" }, patch: { access: "public" }, dryRun: true },
    },
    named: {
      summary: "Two titles, one of them only in a version",
      value: {
        titles: [
          { id: "019a0000-0000-7000-8000-000000000002", version: 3 },
          { id: "019a0000-0000-7000-8000-000000000003" },
        ],
        patch: { tags: ["summer"] },
      },
    },
  },
  "catalog.publishTitle": {
    now: { summary: "Now, or when its window opens", value: {} },
    later: { summary: "At a time", value: { at: "2030-01-01T20:15:00+01:00" } },
  },
  "catalog.scheduleTitle": { later: { summary: "At a time", value: { at: "2030-01-01T20:15:00+01:00" } } },
  "catalog.createGenre": {
    genre: { summary: "A genre", value: { slug: "comedy", name: "Comedy", translations: { de: "Komödie" } } },
  },
  "tenant.create": { tenant: { summary: "An operator", value: { slug: "acme-tv", name: "ACME TV" } } },
  "tenant.createApiKey": {
    reader: { summary: "May only read", value: { name: "dashboard", scopes: ["channel:read", "streamer:read"] } },
  },
  "libraries.create": { family: { summary: "A library of its own", value: { slug: "family", name: "Family" } } },
  "libraries.addTitles": {
    one: { summary: "One title", value: { titleIds: ["019a0000-0000-7000-8000-000000000001"] } },
  },
  "libraries.grant": {
    window: {
      summary: "All of it, for a year, in two countries",
      value: {
        tenant: "acme",
        startsAt: "2026-01-01T00:00:00.000Z",
        endsAt: "2027-01-01T00:00:00.000Z",
        territories: ["DE", "AT"],
        maxHeight: 1080,
      },
    },
  },
  "people.create": {
    actor: { summary: "An actor", value: { name: "Léa Kovács", bornOn: "1970-05-04", department: "Acting" } },
  },
  "people.merge": {
    one: { summary: "Who turned out to be the same", value: { otherPersonId: "019a0000-0000-7000-8000-000000000001" } },
  },
  "people.addCredit": {
    cast: {
      summary: "A part in a film",
      value: { personId: "019a0000-0000-7000-8000-000000000001", kind: "cast", character: "Ada Stone", order: 0 },
    },
  },
  "artwork.choose": {
    address: {
      summary: "A poster from an address",
      value: { url: "https://pictures.example/poster.jpg", kind: "poster", language: "de" },
    },
  },
  "enrichment.start": { one: { summary: "It is this one", value: { tmdbId: 101, language: "de" } } },
  "upload.pull": {
    url: { summary: "A film on a web server", value: { url: "https://files.example.com/films/film.mp4" } },
  },
  "upload.import": {
    dryRun: { summary: "What would come", value: { bucket: "studio-masters", prefix: "2026/", dryRun: true } },
  },
};
