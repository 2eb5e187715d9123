/** A reporter for `node --test`: its whole output is one JSON object, which the runner reads at the end. */

/** What the runner wants to know. */
export interface Summary {
  readonly passed: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly skipped: number;
  /** Reasons that tests gave for being skipped, with the test's name. */
  readonly skips: readonly string[];
  /** How long each file took, the slowest first. */
  readonly files: readonly { readonly file: string; readonly tookMs: number }[];
}

interface ReportedEvent {
  readonly type: string;
  readonly data: {
    readonly name?: string;
    readonly file?: string;
    readonly skip?: string | boolean;
    readonly duration_ms?: number;
    readonly counts?: { passed: number; failed: number; cancelled: number; skipped: number };
  };
}

// biome-ignore lint/style/noDefaultExport: node loads a reporter by its default export
export default async function* summary(source: AsyncIterable<ReportedEvent>): AsyncGenerator<string> {
  const skips: string[] = [];
  const files: Summary["files"][number][] = [];
  let counts = { passed: 0, failed: 0, cancelled: 0, skipped: 0 };
  for await (const { type, data } of source) {
    if (type === "test:pass" && data.skip) skips.push(`${data.name}: ${data.skip}`);
    if (type !== "test:summary" || !data.counts) continue;
    // Each file has a summary of its own too; only the whole run's has no file.
    if (data.file === undefined) counts = data.counts;
    else files.push({ file: data.file, tookMs: Math.round(data.duration_ms ?? 0) });
  }
  const { passed, failed, cancelled, skipped } = counts;
  files.sort((a, b) => b.tookMs - a.tookMs);
  yield JSON.stringify({ passed, failed, cancelled, skipped, skips, files } satisfies Summary);
}
