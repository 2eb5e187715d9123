/** A client of job events that keeps all that it is told. */
import { until } from "../support/platform.ts";

export interface Watched {
  until(text: string): Promise<void>;
  /** Leaves; all that it was told. */
  end(): string;
}

export const watchJobs = (url: string, key: string): Watched => {
  const leaving = new AbortController();
  let told = "";
  const reading = async (): Promise<void> => {
    const answer = await fetch(url, { headers: { authorization: `Bearer ${key}` }, signal: leaving.signal });
    for await (const part of answer.body ?? []) told += Buffer.from(part).toString();
  };
  const over = reading().catch(() => {}); // it was left
  return {
    until: async (text) => void (await until(text, () => told.includes(text) || undefined, 10_000)),
    end: () => {
      leaving.abort();
      void over;
      return told;
    },
  };
};
