/** The buckets of a store as sources: one each, for all who ask, so that connections are shared and nothing is left. */
import type { ContentSource } from "../source/port.ts";
import type { Bucket } from "./port.ts";

/** What one of its users has: a close ends nothing of the others'. */
const shared = (source: ContentSource): ContentSource => ({
  kind: source.kind,
  capabilities: source.capabilities,
  stat: (path, options) => source.stat(path, options),
  open: (path, options) => source.open(path, options),
  list: (path, options) => source.list(path, options),
  fetchTo: (path, file, options) => source.fetchTo(path, file, options),
  close: async () => {},
});

export class SharedSources {
  readonly #make: (bucket: Bucket) => ContentSource;
  readonly #sources = new Map<Bucket, ContentSource>();

  constructor(make: (bucket: Bucket) => ContentSource) {
    this.#make = make;
  }

  get(bucket: Bucket): ContentSource {
    const source = this.#sources.get(bucket) ?? this.#make(bucket);
    this.#sources.set(bucket, source);
    return shared(source);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sources.values()].map((source) => source.close()));
  }
}
