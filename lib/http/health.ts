/** The three health addresses that every listener of the product has (design §9): /livez, /readyz and /metrics. */
import { METRICS_CONTENT_TYPE, metricsText } from "../metrics/metrics.ts";

/** `checks` names what was looked at; the node is ready when all of them are true. */
export interface Readiness {
  readonly ready: boolean;
  readonly checks: Readonly<Record<string, boolean>>;
}
export type Ready = () => Readiness | Promise<Readiness>;

export interface HealthAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

const PATHS = new Set(["/livez", "/readyz", "/metrics"]);

export const isHealthPath = (path: string): boolean => PATHS.has(path);

const json = (status: number, body: unknown): HealthAnswer => ({
  status,
  contentType: "application/json",
  text: JSON.stringify(body),
});

/** What is answered to GET of a health address; never to be stored. */
export const healthAnswer = async (path: string, ready: Ready): Promise<HealthAnswer> => {
  if (path === "/livez") return json(200, { live: true });
  if (path === "/readyz") {
    const state = await ready();
    return json(state.ready ? 200 : 503, state);
  }
  return { status: 200, contentType: METRICS_CONTENT_TYPE, text: await metricsText() };
};
