/** Questions to another thread that wait for their answers, each with a deadline. */
export class Answers<T> {
  readonly #deadlineMs: number;
  readonly #waiting = new Map<number, (answer: T) => void>();
  #lastId = 0;

  constructor(deadlineMs: number) {
    this.#deadlineMs = deadlineMs;
  }

  /** `put` says the question under its number. Rejects when nobody answers in time. */
  ask(put: (id: number) => void): Promise<T> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error("the other thread did not answer in time"));
      }, this.#deadlineMs);
      this.#waiting.set(id, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      put(id);
    });
  }

  answered(id: number, answer: T): void {
    this.#waiting.get(id)?.(answer);
    this.#waiting.delete(id);
  }
}
