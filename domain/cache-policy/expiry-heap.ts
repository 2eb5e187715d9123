/** A binary heap of nodes by the time at which each one expires; knows where each node is, so that any can leave. */
const ABSENT = -1;

export class ExpiryHeap {
  readonly #nodes: number[] = [];
  readonly #expiresAtMs = new Map<number, number>();
  readonly #places = new Map<number, number>();

  get count(): number {
    return this.#nodes.length;
  }

  /** Sets or changes a node's time. */
  set(node: number, expiresAtMs: number): void {
    this.#expiresAtMs.set(node, expiresAtMs);
    const place = this.#places.get(node) ?? this.#nodes.length;
    this.#put(place, node);
    this.#up(place);
    this.#down(this.#places.get(node)!);
  }

  /** A node that is not in the heap is no error. */
  delete(node: number): void {
    const place = this.#places.get(node) ?? ABSENT;
    if (place === ABSENT) return;
    this.#places.delete(node);
    this.#expiresAtMs.delete(node);
    const last = this.#nodes.pop()!;
    if (last === node) return;
    this.#put(place, last);
    this.#up(place);
    this.#down(this.#places.get(last)!);
  }

  /** The node that expires first, when it does so at or before `nowMs`; it stays in the heap. */
  due(nowMs: number): number | undefined {
    const first = this.#nodes[0];
    return first !== undefined && this.#expiresAtMs.get(first)! <= nowMs ? first : undefined;
  }

  #time(place: number): number {
    return this.#expiresAtMs.get(this.#nodes[place]!)!;
  }

  #put(place: number, node: number): void {
    this.#nodes[place] = node;
    this.#places.set(node, place);
  }

  #swap(one: number, other: number): void {
    const node = this.#nodes[one]!;
    this.#put(one, this.#nodes[other]!);
    this.#put(other, node);
  }

  #up(from: number): void {
    for (let place = from; place > 0; ) {
      const parent = (place - 1) >> 1;
      if (this.#time(parent) <= this.#time(place)) return;
      this.#swap(place, parent);
      place = parent;
    }
  }

  #down(from: number): void {
    for (let place = from; ; ) {
      const left = 2 * place + 1;
      if (left >= this.#nodes.length) return;
      const right = left + 1;
      const child = right < this.#nodes.length && this.#time(right) < this.#time(left) ? right : left;
      if (this.#time(place) <= this.#time(child)) return;
      this.#swap(place, child);
      place = child;
    }
  }
}
