/** Questions on a terminal, or answered by lines that are piped in. */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";

export interface Prompt {
  /** Shows the question and gives the line; null when the input has ended. */
  ask(text: string, options?: { readonly secret?: boolean }): Promise<string | null>;
  say(text: string): void;
  close(): void;
}

export interface Streams {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly output: NodeJS.WritableStream;
}

/** Lines are kept while nobody asks: a pipe brings them all at once. */
export const openPrompt = ({ input, output }: Streams): Prompt => {
  const isTerminal = input.isTTY === true;
  let hidden = false;
  const shown = new Writable({
    write(chunk, _encoding, done) {
      if (!hidden) output.write(chunk);
      done();
    },
  });
  const lines = createInterface({ input, ...(isTerminal ? { output: shown, terminal: true } : { terminal: false }) });
  const iterator = lines[Symbol.asyncIterator]();
  return {
    async ask(text, { secret = false } = {}) {
      if (isTerminal) {
        lines.setPrompt(text); // it draws the line anew with every key
        lines.prompt();
      } else output.write(text);
      hidden = secret && isTerminal;
      const { value, done } = await iterator.next();
      if (hidden || !isTerminal) output.write("\n");
      hidden = false;
      return done === true ? null : String(value).trim();
    },
    say: (text) => void output.write(text),
    close: () => lines.close(),
  };
};
