/** Which origins a change of a channel touches. Pure. */
import type { Failure } from "../../contracts/channel.ts";
import { messageOf } from "../../contracts/errors.ts";
import { buildPayload, sameJson } from "../../domain/payload/payload.ts";
import type { ChannelFields, OriginRow } from "./channel.store.ts";

export interface WantedOriginInput {
  readonly streamerId: number;
  readonly ingestUrl?: string | undefined;
}
type Configs = Pick<ChannelFields, "ingestConfig" | "transcodeConfig">;

export interface OriginChanges {
  /** Kept; `touched` where the payload that its streamer gets changes. */
  readonly kept: readonly { readonly id: number; readonly ingestUrl: string | null; readonly touched: boolean }[];
  readonly removed: readonly number[];
  readonly added: readonly WantedOriginInput[];
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
  after: { readonly configs: Configs; readonly origins: readonly WantedOriginInput[] },
  known: ReadonlySet<number>,
): OriginChanges => {
  const present = before.origins.filter(({ wanted }) => wanted === "present");
  const isWanted = (origin: OriginRow) => after.origins.some(({ streamerId }) => streamerId === origin.streamerId);
  const isNew = ({ streamerId }: WantedOriginInput) => !present.some((origin) => origin.streamerId === streamerId);
  const fresh = after.origins.filter(isNew);
  return {
    kept: present.filter(isWanted).map((origin) => {
      const input = after.origins.find(({ streamerId }) => streamerId === origin.streamerId);
      const ingestUrl = input?.ingestUrl ?? null;
      const payloadBefore = buildPayload({ ...before.configs, ingestUrl: origin.ingestUrl });
      return {
        id: origin.id,
        ingestUrl,
        touched: !sameJson(payloadBefore, buildPayload({ ...after.configs, ingestUrl })),
      };
    }),
    removed: present.filter((origin) => !isWanted(origin)).map(({ id }) => id),
    added: fresh.filter(({ streamerId }) => known.has(streamerId)),
    unknown: fresh
      .filter(({ streamerId }) => !known.has(streamerId))
      .map(({ streamerId }) => unknownStreamer(streamerId)),
  };
};
