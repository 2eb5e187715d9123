/**
 * Memory in which segments are made: source areas, which reads of the file fill; slots, which the packets go to and the
 * answers are sent from; windows, which are slots for a part of a segment. One linear memory, because the WebAssembly
 * kernel works in nothing else.
 */
import { KERNEL_BASE64, SHARED_KERNEL_BASE64 } from "./kernel-bytes.ts";
import { type PacketKernel, plainKernel } from "./plain-kernel.ts";

const PAGE_BYTES = 65_536;
/** Addresses are 32 bits. */
const MEMORY_BYTES_MAX = 2 ** 32 - PAGE_BYTES;

type Bytes = ArrayBuffer | SharedArrayBuffer;

/** What is used of WebAssembly: the standard library of the language does not declare it. */
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number; maximum: number; shared: boolean }) => { readonly buffer: Bytes };
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: { readonly packets: PacketKernel } };
};

/** `simd`: WebAssembly; `plain`: JavaScript, which gives the same bytes in three times the time. */
export type KernelKind = "simd" | "plain";

export interface TsMemoryLayout {
  readonly sourceCount: number;
  /** Of one source area: room for a segment's part of the file, and `TS_SCRATCH_BYTES` (source-window.ts) more. */
  readonly sourceBytes: number;
  readonly slotCount: number;
  /** Of one slot. */
  readonly slotBytes: number;
  readonly windowCount?: number;
  readonly windowBytes?: number;
  /** `simd` where the machine has it, unless told. */
  readonly kernel?: KernelKind;
  /** Other threads may have it too; segments then take a twentieth longer. */
  readonly isShared?: boolean;
}

interface Backing {
  readonly kind: KernelKind;
  readonly buffer: Bytes;
  readonly packets: PacketKernel;
}

const simdBacking = (byteLength: number, isShared: boolean): Backing => {
  const pages = Math.ceil(byteLength / PAGE_BYTES);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: isShared });
  const module = new WebAssembly.Module(Buffer.from(isShared ? SHARED_KERNEL_BASE64 : KERNEL_BASE64, "base64"));
  const { packets } = new WebAssembly.Instance(module, { memory: { memory } }).exports;
  return { kind: "simd", buffer: memory.buffer, packets };
};

const plainBacking = (byteLength: number, isShared: boolean): Backing => {
  const buffer = isShared ? new SharedArrayBuffer(byteLength) : new ArrayBuffer(byteLength);
  return { kind: "plain", buffer, packets: plainKernel(buffer) };
};

/** Takes SIMD where it is to be had: not on every processor, and not where address space is limited. */
const backing = (byteLength: number, how: Pick<TsMemoryLayout, "kernel" | "isShared">): Backing => {
  const { kernel, isShared = false } = how;
  if (kernel === "plain") return plainBacking(byteLength, isShared);
  try {
    return simdBacking(byteLength, isShared);
  } catch (error) {
    if (kernel === "simd") throw error;
    return plainBacking(byteLength, isShared);
  }
};

/**
 * Areas of one size. The one that was given back last is taken first: pages that nobody has written to are not
 * resident, so that the process holds as much as was ever in use at once.
 */
export class Areas {
  readonly byteLength: number;
  readonly #free: number[] = [];
  readonly #taken = new Set<number>();

  constructor(at: number, byteLength: number, count: number) {
    this.byteLength = byteLength;
    for (let index = count - 1; index >= 0; index -= 1) this.#free.push(at + index * byteLength);
  }

  get freeCount(): number {
    return this.#free.length;
  }
  /** The address of a free area; null when all are taken. */
  take(): number | null {
    const at = this.#free.pop();
    if (at === undefined) return null;
    this.#taken.add(at);
    return at;
  }
  give(at: number): void {
    if (!this.#taken.delete(at)) throw new Error(`bug: the area at ${at} is not taken`);
    this.#free.push(at);
  }
}

const alignedTo16 = (byteLength: number): number => Math.ceil(byteLength / 16) * 16;

/** Never grows: views of it stay valid as long as it lives. */
export class TsMemory {
  readonly kernel: KernelKind;
  /** All of it; `bytes.subarray` of a slot is what is sent. */
  readonly bytes: Buffer;
  /** Copies whole payloads of 184 bytes into packets. */
  readonly packets: PacketKernel;
  readonly sources: Areas;
  readonly slots: Areas;
  readonly windows: Areas;

  constructor({ sourceCount, slotCount, windowCount = 0, ...layout }: TsMemoryLayout) {
    const [source, slot] = [alignedTo16(layout.sourceBytes), alignedTo16(layout.slotBytes)];
    const window = alignedTo16(layout.windowBytes ?? 0);
    const windowsAt = sourceCount * source + slotCount * slot;
    const byteLength = windowsAt + windowCount * window;
    if (byteLength > MEMORY_BYTES_MAX) throw new Error(`${byteLength} bytes of segments: 4 GiB can be addressed`);
    const { kind, buffer, packets } = backing(byteLength, layout);
    this.kernel = kind;
    this.bytes = Buffer.from(buffer);
    this.packets = packets;
    this.sources = new Areas(0, source, sourceCount);
    this.slots = new Areas(sourceCount * source, slot, slotCount);
    this.windows = new Areas(windowsAt, window, windowCount);
  }
}
