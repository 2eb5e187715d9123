/** What a raw listener puts up with. Every queue, head, body and wait of it has its limit here. */
export interface RawLimits {
  readonly requestLineBytes: number;
  /** Request line, fields and the empty line. */
  readonly headBytes: number;
  readonly fieldCount: number;
  /** From the opening of a connection to its first byte. */
  readonly firstByteMs: number;
  /** From the first byte of a head to its last. */
  readonly headMs: number;
  /** Between an answer and the next request. */
  readonly idleMs: number;
  /** From a request's head to the first byte of its answer. */
  readonly answerMs: number;
  /** In each of these windows a body has to get on by `bodyBytesPerSecond`, in either direction. */
  readonly bodyWindowMs: number;
  readonly bodyBytesPerSecond: number;
  /** What is read and dropped of a body that nobody asked for; above it the connection is closed instead. */
  readonly dropBytes: number;
  /** What is held of the requests that a client sends ahead of its answers. */
  readonly aheadBytes: number;
  /** Requests of one connection that are answered before others have their turn. */
  readonly turnCount: number;
  /** How long a closed connection still listens, so that its last answer isn't lost to a reset. */
  readonly lingerMs: number;
  readonly connections: number;
  /** Of one IPv4 address or IPv6 network of 64 bits. */
  readonly connectionsPerAddress: number;
}

const KiB = 1024;

export const RAW_LIMITS: RawLimits = {
  requestLineBytes: 8 * KiB,
  headBytes: 32 * KiB,
  fieldCount: 100,
  firstByteMs: 10_000,
  headMs: 15_000,
  idleMs: 65_000, // longer than the 60 s that load balancers keep idle connections
  answerMs: 120_000,
  bodyWindowMs: 30_000,
  bodyBytesPerSecond: 1_000,
  dropBytes: 64 * KiB,
  aheadBytes: 64 * KiB, // a head of 32 KiB, twice
  turnCount: 32,
  lingerMs: 2_000,
  connections: 20_000, // × 4 KB each: 80 MB
  connectionsPerAddress: 4_096, // viewers of a provider share one address
};

/** The product's limits with some of them changed. */
export const rawLimits = (changes: Partial<RawLimits> = {}): RawLimits => ({ ...RAW_LIMITS, ...changes });
