/** Whole-segment encryption of whatever a recipe makes (RFC 8216 §4.3.2.4, METHOD=AES-128). */

import type { TsMemory } from "../../domain/ts/memory.ts";
import {
  encryptedBytes,
  SegmentCipher,
  type SegmentKey,
  WINDOW_HEADROOM_BYTES,
} from "../../lib/crypto/segment-cipher.ts";
import type { PacketRoom, ReadRange, SegmentMaking, SegmentRecipe } from "./workshop.ts";

/** What the last step adds. */
const PADDING_BYTES = 16;

class EncryptedMaking implements SegmentMaking {
  readonly #clear: SegmentMaking;
  readonly #cipher: SegmentCipher;
  #isFinished = false;

  constructor(clear: SegmentMaking, key: SegmentKey) {
    this.#clear = clear;
    this.#cipher = new SegmentCipher(key);
  }

  get isDone(): boolean {
    return this.#isFinished;
  }

  get needsSource(): boolean {
    return this.#clear.needsSource;
  }

  nextSource(area: { readonly byteLength: number }): readonly ReadRange[] {
    return this.#clear.nextSource(area);
  }

  releaseSource(): void {
    this.#clear.releaseSource();
  }

  fill(memory: TsMemory, areaAt: number, out: PacketRoom): number {
    const at = out.at + WINDOW_HEADROOM_BYTES;
    const capacity = out.capacity - WINDOW_HEADROOM_BYTES - PADDING_BYTES;
    if (capacity <= 0) return 0;
    const made = this.#clear.isDone ? 0 : this.#clear.fill(memory, areaAt, { at, capacity });
    const ready = this.#cipher.update(memory.bytes, at, at + made);
    memory.bytes.set(ready, out.at);
    if (!this.#clear.isDone) return ready.length;
    this.#isFinished = true;
    const last = this.#cipher.finish();
    memory.bytes.set(last, out.at + ready.length);
    return ready.length + last.length;
  }
}

export const encryptedRecipe = (clear: SegmentRecipe, key: SegmentKey): SegmentRecipe => ({
  ...clear,
  exactBytes: clear.exactBytes === null ? null : encryptedBytes(clear.exactBytes),
  open: () => new EncryptedMaking(clear.open(), key),
  sealed: { clear, key },
});
