// Health check of a container: exits with 0 when the given /readyz says 200. `node deploy/ready.mjs URL`
const DEADLINE_MS = 4_000;

try {
  const response = await fetch(process.argv[2], { signal: AbortSignal.timeout(DEADLINE_MS) });
  if (!response.ok) process.stdout.write(`${await response.text()}\n`);
  process.exitCode = response.ok ? 0 : 1;
} catch (error) {
  process.stdout.write(`${error.message}\n`);
  process.exitCode = 1;
}
