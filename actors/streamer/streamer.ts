/**
 * One streamer: the streams of one listener. It does what it was last told, by whoever holds the highest lease epoch,
 * and remembers that on its own disk: it needs neither database nor bus to run on.
 */
import { Fault, fail } from "../../contracts/errors.ts";
import type { Anchor, StreamReport, StreamSpec } from "../../contracts/streamer.ts";
import { sameJson } from "../../domain/payload/payload.ts";
import { KeyedMailbox } from "../../lib/actor/mailbox.ts";
import type { FindLive } from "./live-http.ts";
import { parsePayload } from "./plan.ts";
import type { Kept, KeptStream, StateFile } from "./state-file.ts";
import { Stream, type StreamDeps } from "./stream.ts";

export interface StreamerOptions extends Omit<StreamDeps, "changed" | "keep"> {
  readonly streamsMax: number;
  readonly stateFile: StateFile;
  /** Something that a report shows has changed. */
  readonly changed: () => void;
}
export interface StreamRef {
  readonly tenant: string;
  readonly streamId: string;
}
type Ordered<T> = T & { readonly leaseEpoch: number };

const COMMANDS_WAITING_MAX = 16; // per stream; a supervisor sends one at a time
const COMMAND_DEADLINE_MS = 5_000;
const EPOCHS_MAX = 10_000; // of streams that are gone: 100 B each
const TICK_MS = 25;
const LATE_TICK_MS = 200; // the event loop stood still: what came meanwhile is read after this tick

const keyOf = ({ tenant, streamId }: StreamRef): string => `${tenant}/${streamId}`;

/** What makes two commands the same: all but the anchor, which moves by itself. */
const sameSpec = (a: StreamSpec, b: StreamSpec): boolean => sameJson({ ...a, anchor: null }, { ...b, anchor: null });

export class Streamer {
  readonly #options: StreamerOptions;
  readonly #streams = new Map<string, Stream>();
  /** Highest lease epoch by stream, the longest unused first. */
  readonly #leaseEpochs = new Map<string, number>();
  readonly #mailbox = new KeyedMailbox(COMMANDS_WAITING_MAX);
  #ticker: NodeJS.Timeout | undefined;
  #tickedAt = performance.now();
  #closing = false;

  constructor(options: StreamerOptions) {
    this.#options = options;
  }

  /** Takes up what the last run was told. */
  async open(): Promise<void> {
    const kept = await this.#options.stateFile.read();
    for (const [key, leaseEpoch] of kept.leaseEpochs) this.#leaseEpochs.set(key, leaseEpoch);
    for (const stream of kept.streams) {
      try {
        this.#run(stream);
      } catch (error) {
        this.#options.log.error({ err: error, stream: keyOf(stream.spec) }, "a kept stream can't be taken up");
      }
    }
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Ends all streams; what they are stays on disk for the next start. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#ticker);
    await Promise.all([...this.#streams.values()].map((stream) => stream.stop()));
    this.#streams.clear();
    await this.#options.stateFile.flushed();
  }

  get draining(): boolean {
    return this.#closing;
  }
  get streamsMax(): number {
    return this.#options.streamsMax;
  }
  get reports(): StreamReport[] {
    return [...this.#streams.values()].map(({ report }) => report);
  }

  readonly find: FindLive = (tenant, streamId) => {
    const stream = this.#streams.get(keyOf({ tenant, streamId }));
    return stream && (stream.view ?? "starting");
  };

  /** Starts a stream, or replaces one that runs with another spec. */
  start(input: Ordered<{ spec: StreamSpec }>): Promise<{ state: Stream["state"]; changed: boolean }> {
    return this.#command(input.spec, async () => {
      const { spec, leaseEpoch } = input;
      await this.#admit(spec, leaseEpoch);
      parsePayload(spec.payload);
      const running = this.#streams.get(keyOf(spec));
      if (running && running.posted === null && sameSpec(running.spec, spec)) {
        running.leaseEpoch = leaseEpoch;
        if (spec.anchor && spec.anchor.anchorEpoch > running.anchorEpoch) running.setAnchor(spec.anchor);
        await this.#keep();
        return { state: running.state, changed: false };
      }
      if (!running) this.#checkRoom();
      await this.#options.opener.check(spec.payload.url, spec);
      const before = running?.spec.channelId === spec.channelId ? running.kept : null;
      await this.#drop(running);
      const stream = this.#run(keptFrom({ spec, leaseEpoch, posted: null }, before));
      await this.#keep();
      return { state: stream.state, changed: true };
    });
  }

  /** A stream of the castis API: STREAM_EXISTS when there is one of that name, however equal. It runs until deleted. */
  post(spec: StreamSpec, posted: Record<string, unknown>, leaseEpoch: number | null): Promise<void> {
    return this.#command(spec, async () => {
      // What is refused raises no epoch: it might not be the supervisor's word.
      if (this.#streams.has(keyOf(spec))) fail("STREAM_EXISTS", { streamId: spec.streamId });
      parsePayload(spec.payload);
      if (leaseEpoch !== null) await this.#admit(spec, leaseEpoch);
      this.#checkRoom();
      await this.#options.opener.check(spec.payload.url, spec);
      this.#run(keptFrom({ spec, leaseEpoch: leaseEpoch ?? 0, posted }, null));
      await this.#keep();
    });
  }

  stop(input: Ordered<StreamRef>): Promise<{ stopped: boolean }> {
    return this.#command(input, async () => {
      await this.#admit(input, input.leaseEpoch);
      const running = this.#streams.get(keyOf(input));
      await this.#drop(running);
      await this.#keep();
      return { stopped: running !== undefined };
    });
  }

  /** Removes a stream of the castis API; one that a supervisor commands is not anybody else's to remove. */
  delete(ref: StreamRef): Promise<void> {
    return this.#command(ref, async () => {
      const running = this.posted(ref);
      if (!running) {
        const supervised = this.#streams.get(keyOf(ref));
        if (supervised) fail("STALE_EPOCH", { leaseEpoch: 0, highestEpoch: supervised.leaseEpoch });
        fail("STREAM_NOT_FOUND", { streamId: ref.streamId });
      }
      await this.#drop(running);
      await this.#keep();
    });
  }

  restart(input: Ordered<StreamRef>): Promise<{ state: Stream["state"] }> {
    return this.#command(input, async () => {
      await this.#admit(input, input.leaseEpoch);
      const stream = this.#known(input);
      stream.leaseEpoch = input.leaseEpoch;
      stream.restart();
      await this.#keep();
      return { state: stream.state };
    });
  }

  setAnchor(input: Ordered<StreamRef & { anchor: Anchor }>): Promise<{ anchorEpoch: number }> {
    return this.#command(input, async () => {
      await this.#admit(input, input.leaseEpoch);
      const stream = this.#known(input);
      stream.leaseEpoch = input.leaseEpoch;
      stream.setAnchor(input.anchor);
      await this.#keep();
      return { anchorEpoch: stream.anchorEpoch };
    });
  }

  /** A stream that was made over the castis API. */
  posted(ref: StreamRef): Stream | undefined {
    const stream = this.#streams.get(keyOf(ref));
    return stream?.posted === null ? undefined : stream;
  }
  stream(ref: StreamRef): Stream | undefined {
    return this.#streams.get(keyOf(ref));
  }

  /** Commands for one stream run one at a time. */
  #command<T>(ref: StreamRef, run: () => Promise<T>): Promise<T> {
    if (this.#closing) return Promise.reject(new Fault("SHUTTING_DOWN"));
    return this.#mailbox.run(keyOf(ref), run, { deadlineMs: COMMAND_DEADLINE_MS });
  }

  #known(ref: StreamRef): Stream {
    return this.#streams.get(keyOf(ref)) ?? fail("STREAM_NOT_FOUND", { streamId: ref.streamId });
  }
  #checkRoom(): void {
    const { streamsMax } = this.#options;
    if (this.#streams.size >= streamsMax) fail("STREAMER_FULL", { streamsMax });
  }

  /** Refuses who has been superseded; from now on nobody with a lower epoch is obeyed, even if this command fails. */
  async #admit(ref: StreamRef, leaseEpoch: number): Promise<void> {
    const key = keyOf(ref);
    const highestEpoch = this.#leaseEpochs.get(key) ?? 0;
    if (leaseEpoch < highestEpoch) fail("STALE_EPOCH", { leaseEpoch, highestEpoch });
    this.#options.log.info({ stream: key, leaseEpoch }, "command taken");
    this.#leaseEpochs.delete(key);
    this.#leaseEpochs.set(key, leaseEpoch);
    for (const [oldest] of this.#leaseEpochs) {
      if (this.#leaseEpochs.size <= EPOCHS_MAX) break;
      if (!this.#streams.has(oldest)) this.#leaseEpochs.delete(oldest);
    }
    if (leaseEpoch > highestEpoch) await this.#keep();
  }

  #run(kept: KeptStream): Stream {
    const deps = { ...this.#options, keep: () => void this.#keep() };
    const stream = new Stream(deps, kept);
    this.#streams.set(stream.key, stream);
    stream.start();
    return stream;
  }
  async #drop(stream: Stream | undefined): Promise<void> {
    if (!stream) return;
    this.#streams.delete(stream.key);
    await stream.stop();
    this.#options.changed();
  }

  #tick(): void {
    const now = performance.now();
    const isLate = now - this.#tickedAt > LATE_TICK_MS;
    this.#tickedAt = now;
    for (const stream of this.#streams.values()) {
      try {
        stream.tick({ isLate });
      } catch (error) {
        // One stream's bug must not stop the others' clock.
        this.#options.log.error({ err: error, stream: stream.key }, "a stream's tick failed");
      }
    }
  }

  #keep(): Promise<void> {
    if (this.#closing) return Promise.resolve(); // what is being stopped for a restart is to be taken up again
    const state: Kept = {
      version: 1,
      streams: [...this.#streams.values()].map(({ kept }) => kept),
      leaseEpochs: [...this.#leaseEpochs],
    };
    return this.#options.stateFile.write(state);
  }
}

type Told = Pick<KeptStream, "spec" | "leaseEpoch" | "posted">;

/** A stream as it is told; of the one that it replaces it keeps what still holds. */
const keptFrom = (told: Told, before: KeptStream | null): KeptStream => {
  const isSameSource = before?.spec.payload.url === told.spec.payload.url;
  return {
    ...told,
    learned: isSameSource ? (before?.learned ?? null) : null,
    anchor: told.spec.anchor ?? before?.anchor ?? null,
    ownAnchor: isSameSource ? (before?.ownAnchor ?? null) : null,
  };
};
