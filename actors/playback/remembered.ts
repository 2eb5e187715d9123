/** What was asked lately: those who ask for the same together wait for one answer, and a failure is not remembered. */
import { LRUCache } from "lru-cache";

const ENTRIES_MAX = 10_000;

export class RememberedAnswers<T extends object> {
  readonly #answers: LRUCache<string, { readonly answer: Promise<T>; readonly untilMs: number }>;
  readonly #forMs: number;
  readonly #nowMs: () => number;

  /** `nowMs`: monotonic. */
  constructor(forMs: number, nowMs: () => number = () => performance.now()) {
    this.#forMs = forMs;
    this.#nowMs = nowMs;
    this.#answers = new LRUCache({ max: ENTRIES_MAX });
  }

  get(key: string, ask: () => Promise<T>): Promise<T> {
    const now = this.#nowMs();
    const known = this.#answers.get(key);
    if (known && known.untilMs > now) return known.answer;
    const entry = { answer: ask(), untilMs: now + this.#forMs };
    this.#answers.set(key, entry);
    entry.answer.catch(() => {
      if (this.#answers.peek(key) === entry) this.#answers.delete(key);
    });
    return entry.answer;
  }
}
