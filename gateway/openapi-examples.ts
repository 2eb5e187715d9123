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
  "tenant.create": { tenant: { summary: "An operator", value: { slug: "acme-tv", name: "ACME TV" } } },
  "tenant.createApiKey": {
    reader: { summary: "May only read", value: { name: "dashboard", scopes: ["channel:read", "streamer:read"] } },
  },
};
