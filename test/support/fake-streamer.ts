/** A stand-in for a streamer node of ours: answers the streamer contract and reports, but runs no media. */
import type { ServiceBroker } from "moleculer";
import { type ErrorCode, fail } from "../../contracts/errors.ts";
import {
  type Anchor,
  restartStream,
  type StreamReport,
  type StreamSpec,
  setAnchor,
  startStream,
  stopStream,
  streamerReported,
} from "../../contracts/streamer.ts";
import { announce, answer } from "../../lib/actor/contract.ts";

export interface FakeStream {
  spec: StreamSpec;
  state: StreamReport["state"];
  leaseEpoch: number;
  startCount: number;
  anchor: Anchor | null;
  /** What its reports say besides; tests fill it in. */
  says: Partial<StreamReport>;
}
export interface FakeCommand {
  readonly verb: "start" | "stop" | "restart" | "anchor";
  readonly ordinal: number;
  readonly streamId: string;
  readonly leaseEpoch: number;
}

/** What a streamer runs a stream by. */
const told = (spec: StreamSpec | undefined): string => JSON.stringify([spec?.payload, spec?.trusted]);

const REPORT_EVERY_MS = 200;

export class FakeStreamerNode {
  readonly commands: FakeCommand[] = [];
  readonly #broker: ServiceBroker;
  readonly #ordinals: number;
  readonly #streams = new Map<string, FakeStream>();
  /** The highest lease epoch per stream, kept when the stream is gone. */
  readonly #epochs = new Map<string, number>();
  #refuse: ErrorCode | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(broker: ServiceBroker, { ordinals = 1 }: { ordinals?: number } = {}) {
    this.#broker = broker;
    this.#ordinals = ordinals;
    broker.createService({
      name: "streamer",
      actions: {
        start: answer(
          startStream,
          ({ ordinal, leaseEpoch, spec }): { state: StreamReport["state"]; changed: boolean } => {
            const key = this.#commanded("start", { ordinal, leaseEpoch, ...spec });
            if (this.#refuse !== undefined) return fail(this.#refuse, { streamsMax: 1, url: spec.payload.url });
            const old = this.#streams.get(key);
            const changed = told(old?.spec) !== told(spec);
            if (old !== undefined && !changed) {
              old.leaseEpoch = leaseEpoch;
              return { state: old.state, changed };
            }
            const startCount = (old?.startCount ?? 0) + 1;
            this.#streams.set(key, { spec, state: "starting", leaseEpoch, startCount, anchor: spec.anchor, says: {} });
            return { state: "starting", changed };
          },
        ),
        stop: answer(stopStream, (input) => ({ stopped: this.#streams.delete(this.#commanded("stop", input)) })),
        restart: answer(restartStream, (input) => {
          const stream = this.#streams.get(this.#commanded("restart", input));
          if (stream === undefined) return fail("STREAM_NOT_FOUND", input);
          Object.assign(stream, { state: "starting", startCount: stream.startCount + 1 });
          return { state: stream.state };
        }),
        anchor: answer(setAnchor, (input) => {
          const stream = this.#streams.get(this.#commanded("anchor", input));
          if (stream === undefined) return fail("STREAM_NOT_FOUND", input);
          stream.anchor = input.anchor;
          stream.says = { ...stream.says, anchorProposal: null };
          return { anchorEpoch: input.anchor.anchorEpoch };
        }),
      },
    });
  }

  /** Begins to report, as a node that has joined. */
  report(): this {
    clearInterval(this.#timer);
    this.#say();
    this.#timer = setInterval(() => this.#say(), REPORT_EVERY_MS);
    return this;
  }

  /** As a node that is gone: no report any more. */
  silent(): void {
    clearInterval(this.#timer);
  }

  /** The process died: its streams are gone. */
  loseStreams(): void {
    this.#streams.clear();
  }

  refuse(code: ErrorCode | undefined): void {
    this.#refuse = code;
  }

  stream(streamId: string, ordinal = 0): FakeStream | undefined {
    return [...this.#streams].find(([key]) => key.startsWith(`${ordinal} `) && key.endsWith(` ${streamId}`))?.[1];
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** Media has begun to flow on every stream that was starting. */
  goLive(): void {
    for (const stream of this.#streams.values()) if (stream.state === "starting") stream.state = "live";
    this.#say();
  }

  #commanded(
    verb: FakeCommand["verb"],
    {
      ordinal,
      leaseEpoch,
      tenant,
      streamId,
    }: { ordinal: number; leaseEpoch: number; tenant: string; streamId: string },
  ): string {
    const key = `${ordinal} ${tenant} ${streamId}`;
    const highestEpoch = this.#epochs.get(key) ?? 0;
    if (leaseEpoch < highestEpoch) fail("STALE_EPOCH", { leaseEpoch, highestEpoch });
    this.#epochs.set(key, leaseEpoch);
    this.commands.push({ verb, ordinal, streamId, leaseEpoch });
    return key;
  }

  #say(): void {
    for (let ordinal = 0; ordinal < this.#ordinals; ordinal += 1)
      announce(this.#broker, streamerReported, {
        nodeId: this.#broker.nodeID,
        ordinal,
        name: `${this.#broker.nodeID}/${ordinal}`,
        baseUrl: `http://10.9.0.1:${8082 + ordinal}`,
        publicUrl: `http://media.example:${8082 + ordinal}`,
        streamsMax: 100,
        draining: false,
        streams: [...this.#streams]
          .filter(([key]) => key.startsWith(`${ordinal} `))
          .map(([, stream]) => reportOf(stream)),
      });
  }
}

const reportOf = ({ spec, state, leaseEpoch, startCount, anchor, says }: FakeStream): StreamReport => ({
  tenant: spec.tenant,
  streamId: spec.streamId,
  channelId: spec.channelId,
  state,
  leaseEpoch,
  anchorEpoch: anchor?.anchorEpoch ?? null,
  firstSegmentNumber: state === "live" ? 1 : null,
  lastSegmentNumber: state === "live" ? 7 : null,
  startCount,
  anchorProposal: null,
  residualMs: null,
  initHashes: {},
  message: null,
  ...says,
});
