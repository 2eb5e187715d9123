/**
 * Doubly linked lists of numbered nodes on typed arrays: no allocation when a node moves. A node is in one list, or
 * free. The first nodes are the lists' own ends: `next` of an end is the newest, `previous` the oldest;
 * `next` of a node is the one before it in time, `previous` the one after it.
 */

const FIRST_CAPACITY = 1_024;
/** No node. */
export const NO_NODE = -1;

const grown = <T extends Int32Array | Float64Array | Uint8Array>(wider: T, old: T): T => {
  wider.set(old);
  return wider;
};

export class NodeLists {
  readonly #listCount: number;
  #next = new Int32Array(FIRST_CAPACITY);
  #previous = new Int32Array(FIRST_CAPACITY);
  #list = new Uint8Array(FIRST_CAPACITY);
  #sizeBytes = new Float64Array(FIRST_CAPACITY);
  readonly #bytes: Float64Array;
  #used: number;
  #free = NO_NODE;

  constructor(listCount: number) {
    this.#listCount = listCount;
    this.#used = listCount;
    this.#bytes = new Float64Array(listCount);
    for (let end = 0; end < listCount; end += 1) {
      this.#next[end] = end;
      this.#previous[end] = end;
    }
  }

  /** Sum of the sizes in a list. */
  bytesOf(list: number): number {
    return this.#bytes[list]!;
  }
  listOf(node: number): number {
    return this.#list[node]!;
  }
  sizeOf(node: number): number {
    return this.#sizeBytes[node]!;
  }
  /** The node at the old end, or `NO_NODE`. */
  oldest(list: number): number {
    const node = this.#previous[list]!;
    return node === list ? NO_NODE : node;
  }
  /** The node at the new end, or `NO_NODE`. */
  newest(list: number): number {
    const node = this.#next[list]!;
    return node === list ? NO_NODE : node;
  }
  /** The node that is one step newer in the same list, or `NO_NODE`. */
  newer(node: number): number {
    const newer = this.#previous[node]!;
    return newer < this.#listCount ? NO_NODE : newer;
  }

  /** A new node at the new end of a list. */
  insert(list: number, sizeBytes: number): number {
    const node = this.#take();
    this.#sizeBytes[node] = sizeBytes;
    this.#link(node, list);
    return node;
  }

  /** To the new end of a list, the same or another one. */
  move(node: number, list: number): void {
    this.#unlink(node);
    this.#link(node, list);
  }

  resize(node: number, sizeBytes: number): void {
    this.#bytes[this.#list[node]!]! += sizeBytes - this.#sizeBytes[node]!;
    this.#sizeBytes[node] = sizeBytes;
  }

  /** The node's number may be given out again. */
  release(node: number): void {
    this.#unlink(node);
    this.#next[node] = this.#free;
    this.#free = node;
  }

  #link(node: number, list: number): void {
    const newest = this.#next[list]!;
    this.#next[node] = newest;
    this.#previous[node] = list;
    this.#previous[newest] = node;
    this.#next[list] = node;
    this.#list[node] = list;
    this.#bytes[list]! += this.#sizeBytes[node]!;
  }

  #unlink(node: number): void {
    const next = this.#next[node]!;
    const previous = this.#previous[node]!;
    this.#next[previous] = next;
    this.#previous[next] = previous;
    this.#bytes[this.#list[node]!]! -= this.#sizeBytes[node]!;
  }

  #take(): number {
    if (this.#free !== NO_NODE) {
      const node = this.#free;
      this.#free = this.#next[node]!;
      return node;
    }
    if (this.#used === this.#next.length) {
      const capacity = this.#used * 2;
      this.#next = grown(new Int32Array(capacity), this.#next);
      this.#previous = grown(new Int32Array(capacity), this.#previous);
      this.#list = grown(new Uint8Array(capacity), this.#list);
      this.#sizeBytes = grown(new Float64Array(capacity), this.#sizeBytes);
    }
    this.#used += 1;
    return this.#used - 1;
  }
}
