/** How far an import is: one line that changes on a terminal, a line now and then elsewhere. */
const EVERY_MS = 250;
const EVERY_MS_PLAIN = 10_000;
const RATE_MS = 10_000; // the speed is that of the last seconds

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** `12.3 MB`. */
export const sizeText = (bytes: number): string => {
  const unit = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1_000 ** unit).toFixed(unit === 0 ? 0 : 1)} ${UNITS[unit]}`;
};

const timeText = (seconds: number): string => {
  const whole = Math.ceil(seconds);
  const [hours, minutes] = [Math.floor(whole / 3_600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours} h ${minutes} min` : minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`;
};

export class ProgressLine {
  readonly #out: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly #totalBytes: number;
  readonly #offsets = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #skippedBytes = 0;
  #samples: { atMs: number; bytes: number }[] = [];
  #isOpen = false;

  constructor(out: NodeJS.WritableStream & { readonly isTTY?: boolean }, totalBytes: number) {
    this.#out = out;
    this.#totalBytes = totalBytes;
    this.#timer = setInterval(() => this.#draw(), out.isTTY ? EVERY_MS : EVERY_MS_PLAIN);
    this.#timer.unref();
  }

  /** Told how many bytes of a file are there. What was there before counts as no speed. */
  begin(file: string): (offset: number) => void {
    return (offset) => {
      const before = this.#offsets.get(file);
      if (before === undefined && offset > 0) for (const sample of this.#samples) sample.bytes += offset;
      this.#offsets.set(file, offset);
    };
  }

  skip(bytes: number): void {
    this.#skippedBytes += bytes;
  }

  say(text: string): void {
    this.#clear();
    this.#out.write(`${text}\n`);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#clear();
  }

  #clear(): void {
    if (this.#isOpen && this.#out.isTTY) this.#out.write("\r\x1b[K");
    this.#isOpen = false;
  }

  #draw(): void {
    const bytes = [...this.#offsets.values()].reduce((sum, offset) => sum + offset, 0);
    const nowMs = performance.now();
    this.#samples = [...this.#samples.filter(({ atMs }) => nowMs - atMs < RATE_MS), { atMs: nowMs, bytes }];
    const [first] = this.#samples;
    const seconds = first ? (nowMs - first.atMs) / 1e3 : 0;
    const rate = first && seconds > 0 ? Math.max(0, bytes - first.bytes) / seconds : 0;
    const total = this.#totalBytes - this.#skippedBytes;
    const percent = total > 0 ? (100 * bytes) / total : 100;
    const left = rate > 0 ? `, ${timeText((total - bytes) / rate)} left` : "";
    const text = `${percent.toFixed(1)} % of ${sizeText(total)}, ${(rate / 1e6).toFixed(1)} MB/s${left}`;
    this.#clear();
    this.#out.write(this.#out.isTTY ? text : `${text}\n`);
    this.#isOpen = true;
  }
}
