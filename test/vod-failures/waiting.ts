/** What is seen of the platform while something that it needs is away. */
import assert from "node:assert/strict";
import type { HttpResponse } from "tus-js-client";
import { until } from "../support/platform.ts";
import { createTitle, DEADLINE_MS, send, type Tenant, type Works } from "./works.ts";

interface WaitingJob {
  readonly kind: string;
  readonly state: string;
  readonly attempt: number;
  readonly error: { readonly code: string; readonly message: string } | null;
}

const jobsWithReasons = async (tenant: Tenant, titleId: string): Promise<readonly WaitingJob[]> => {
  const path = `/jobs?subjectKind=title&subjectId=${titleId}&limit=100`;
  return (await tenant.api.call<{ data: WaitingJob[] }>("GET", path)).body.data;
};

/** Waits until a job of a kind is in one of these states. */
export const untilJob = (tenant: Tenant, titleId: string, kinds: readonly string[]): Promise<true> =>
  until(
    `a job of ${kinds.join(" or ")}`,
    async () => (await jobsWithReasons(tenant, titleId)).some(({ kind }) => kinds.includes(kind)) || undefined,
    DEADLINE_MS,
  );

/** Waits until a job of the title says what it waits for; none has ended for it, and the title says the truth. */
export const assertWaits = async (tenant: Tenant, titleId: string, code: string): Promise<void> => {
  const waiting = await until(
    `a job that waits for ${code}`,
    async () => {
      const jobs = await jobsWithReasons(tenant, titleId);
      const found = jobs.find(({ error, state }) => error?.code === code && state === "queued");
      if (!found) throw new Error(jobs.map(({ kind, state, error }) => `${kind} ${state} ${error?.code}`).join(", "));
      assert.deepEqual(
        jobs.filter(({ state }) => state === "dead"),
        [],
      );
      return found;
    },
    60_000,
  );
  assert.ok(waiting.error?.message, "it says so in words");
  const { body } = await tenant.api.call<{ data: { state: string; processingError: unknown } }>(
    "GET",
    `/titles/${titleId}`,
  );
  assert.equal(body.data.processingError, null);
  assert.ok(["processing", "ready", "published"].includes(body.data.state), body.data.state);
};

interface Refusal {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: string;
}

/**
 * A title whose upload is interrupted by what `away` does; `refused` resolves once the client was told to come again,
 * and `sent` when it is through.
 */
export const interruptedUpload = async (
  works: Works,
  { tenant, file, away }: { tenant: Tenant; file: string; away: () => Promise<void> },
) => {
  const titleId = await createTitle(tenant, "Interrupted");
  const refused = Promise.withResolvers<Refusal>();
  let isAway: Promise<void> | undefined;
  const sent = send(works, {
    ...{ tenant, file, titleId, chunkSize: 64 * 1024 },
    // One request at a time: the store is gone before the next one begins.
    onBeforeRequest: async (request) => {
      if (request.getMethod() === "PATCH" && Number(request.getHeader("Upload-Offset")) > 0) {
        isAway ??= away();
        await isAway;
      }
    },
    onAfterResponse: (_, response: HttpResponse) => {
      const status = response.getStatus();
      const body = response.getBody();
      if (status >= 400) refused.resolve({ status, retryAfter: response.getHeader("Retry-After"), body });
    },
  });
  sent.catch(refused.reject);
  return { titleId, sent, refused: refused.promise };
};

export const assertRefused = ({ status, retryAfter, body }: Refusal, code: string): void => {
  assert.deepEqual([status, body.includes(code)], [503, true], body);
  assert.ok(Number(retryAfter) > 0, `Retry-After: ${retryAfter}`);
};
