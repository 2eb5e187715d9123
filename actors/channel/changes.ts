/** Which origins a change of a channel touches. Pure. */
import type { Failure } from "../../contracts/channel.ts";
import { messageOf } from "../../contracts/errors.ts";
import { buildPayload, sameJson, sourceUrlOf } from "../../domain/payload/payload.ts";
import type { ChannelFields, ChannelRow, OriginRow } from "./channel.store.ts";

export interface WantedOriginInput {
  readonly streamerId: number;
  readonly ingestUrl?: string | undefined;
}
type Configs = Pick<ChannelFields, "ingestConfig" | "transcodeConfig">;

/** A channel as a change finds it, or as it shall be afterwards. */
export interface ChannelState {
  readonly fields: ChannelFields;
  readonly origins: readonly WantedOriginInput[];
  readonly trustedUrls: ReadonlySet<string>;
}

export const stateOf = (channel: ChannelRow, origins: readonly OriginRow[]): ChannelState => {
  const { ingestConfig } = channel;
  const present = origins.filter(({ wanted }) => wanted === "present");
  const trusted = present.filter((origin) => origin.trusted).map(({ ingestUrl }) => ({ ingestConfig, ingestUrl }));
  return {
    fields: channel,
    origins: present.map(({ streamerId, ingestUrl }) =>
      ingestUrl === null ? { streamerId } : { streamerId, ingestUrl },
    ),
    trustedUrls: new Set(trusted.flatMap((parts) => sourceUrlOf(parts) ?? [])),
  };
};

interface OriginSource {
  readonly ingestUrl: string | null;
  readonly trusted: boolean;
}
/** As its row has it; trust is that of the URL which it reads, be it its own or the channel's. */
export const originSource = (
  { ingestConfig, trustedUrls }: Pick<Configs, "ingestConfig"> & Pick<ChannelState, "trustedUrls">,
  { ingestUrl = null }: { readonly ingestUrl?: string | null | undefined },
): OriginSource => {
  const url = sourceUrlOf({ ingestConfig, ingestUrl });
  return { ingestUrl, trusted: url !== null && trustedUrls.has(url) };
};

export interface OriginChanges {
  /** Kept; `touched` where what its streamer gets changes: the payload, or whether its source is trusted. */
  readonly kept: readonly (OriginSource & { readonly id: number; readonly touched: boolean })[];
  readonly removed: readonly number[];
  readonly added: readonly (OriginSource & { readonly streamerId: number })[];
  /** Streamers that are not there (P-16). */
  readonly unknown: readonly Failure[];
}

export const unknownStreamer = (streamerId: number): Failure => ({
  streamerId,
  status: 404,
  message: messageOf("STREAMER_NOT_FOUND", { streamerId }),
});

export const planOrigins = (
  before: { readonly configs: Configs; readonly origins: readonly OriginRow[] },
  after: { readonly configs: Configs } & Omit<ChannelState, "fields">,
  known: ReadonlySet<number>,
): OriginChanges => {
  const present = before.origins.filter(({ wanted }) => wanted === "present");
  const isWanted = (origin: OriginRow) => after.origins.some(({ streamerId }) => streamerId === origin.streamerId);
  const isNew = ({ streamerId }: WantedOriginInput) => !present.some((origin) => origin.streamerId === streamerId);
  const fresh = after.origins.filter(isNew);
  const { ingestConfig } = after.configs;
  const sourceOf = (input: Partial<WantedOriginInput>): OriginSource =>
    originSource({ ingestConfig, trustedUrls: after.trustedUrls }, input);
  return {
    kept: present.filter(isWanted).map((origin) => {
      const input = after.origins.find(({ streamerId }) => streamerId === origin.streamerId);
      const source = sourceOf(input ?? {});
      const payloadBefore = buildPayload({ ...before.configs, ingestUrl: origin.ingestUrl });
      const isSame = sameJson(payloadBefore, buildPayload({ ...after.configs, ingestUrl: source.ingestUrl }));
      return { id: origin.id, ...source, touched: !isSame || origin.trusted !== source.trusted };
    }),
    removed: present.filter((origin) => !isWanted(origin)).map(({ id }) => id),
    added: fresh
      .filter(({ streamerId }) => known.has(streamerId))
      .map((input) => ({ streamerId: input.streamerId, ...sourceOf(input) })),
    unknown: fresh
      .filter(({ streamerId }) => !known.has(streamerId))
      .map(({ streamerId }) => unknownStreamer(streamerId)),
  };
};
