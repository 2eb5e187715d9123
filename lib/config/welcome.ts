/** The words that a start prints for the person who made it. */
export interface WelcomeFacts {
  readonly host: string;
  readonly gatewayUrl: string | null;
  readonly edgeUrl: string | null;
  /** Of the edge: over TLS, and its operator's door; null where they are not. */
  readonly edgeTlsUrl: string | null;
  readonly edgeAdminUrl: string | null;
  readonly streamerUrls: readonly string[];
  /** What the addresses of stored files begin with; null without a packager. */
  readonly packagerUrl: string | null;
  /** Path of the demo channel's page; null without one. */
  readonly demoPath: string | null;
  /** The admin key, only when this start made it. */
  readonly madeKey: string | null;
  readonly dataDir: string;
  readonly readyMs: number;
}

const line = (name: string, value: string): string => `  ${name.padEnd(12)} ${value}`;

/** Plain text for a terminal; the API key stands in it only when it was made by this start. */
export const welcome = (facts: WelcomeFacts): string => {
  const { gatewayUrl, edgeUrl, madeKey } = facts;
  const lines = [`Castellan is ready after ${(facts.readyMs / 1000).toFixed(1)} s.`, ""];
  if (gatewayUrl !== null) {
    if (facts.demoPath !== null) lines.push(line("Watch", `${gatewayUrl}${facts.demoPath}`));
    lines.push(line("Upload", `${gatewayUrl}/upload`));
    lines.push(line("API", `${gatewayUrl}/api/v1`), line("Reference", `${gatewayUrl}/api/docs`));
  }
  if (edgeUrl !== null) lines.push(line("Edge", edgeUrl));
  if (facts.edgeTlsUrl !== null) lines.push(line("Edge, TLS", facts.edgeTlsUrl));
  if (facts.edgeAdminUrl !== null) lines.push(line("Edge, admin", facts.edgeAdminUrl));
  if (facts.streamerUrls.length > 0) lines.push(line("Streamers", facts.streamerUrls.join(", ")));
  if (facts.packagerUrl !== null) lines.push(line("Packager", facts.packagerUrl));
  if (madeKey !== null) lines.push(line("Admin key", `${madeKey}   (shown this once: keep it)`));
  lines.push(line("Data", facts.dataDir));
  if (/^(127\.|localhost$|::1$)/.test(facts.host)) {
    lines.push("", `  Listening on ${facts.host} only; HOST=0.0.0.0 lets other machines in.`);
  }
  return `\n${lines.join("\n")}\n\n`;
};
