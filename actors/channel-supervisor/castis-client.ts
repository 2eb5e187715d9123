/**
 * One request to a castis node: `POST|GET|DELETE {base}/api/streams/:streamId` (playback document). Never throws.
 * A connection per request: a POST on a kept connection that the node is closing would be lost without an answer.
 */
import { type ClientRequest, request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import { ADDRESS_REFUSED, type OutgoingAgents } from "../../lib/http/outgoing-agents.ts";
import { PRIVATE_ADDRESS } from "../../lib/source-guard.ts";

export interface CastisNode {
  readonly baseUrl: string;
  /** Bearer token. */
  readonly credential: string | null;
  /** A platform admin named it: it may be anywhere. */
  readonly trusted: boolean;
}

export interface CastisRequest {
  readonly method: "GET" | "POST" | "DELETE";
  readonly streamId: string;
  readonly body?: unknown;
}

export interface CastisHow {
  /** From the connection to the end of the body. */
  readonly deadlineMs: number;
  /** Without kept connections. */
  readonly agents: OutgoingAgents;
}

export interface CastisAnswer {
  /** The HTTP status; 0 where none came. */
  readonly status: number;
  /** Parsed JSON of a body that came whole; undefined otherwise. */
  readonly body: unknown;
  /** For people: what the node said, or why it said nothing. */
  readonly message: string;
  /** False when the request can't have reached the node: nobody listened there. */
  readonly reached: boolean;
  /** No answer within the deadline: the node may still be at work on it. */
  readonly timedOut: boolean;
}

/** How castis nodes are dealt with. */
export interface CastisPace {
  readonly deadlineMs: number;
  /** They tell nothing by themselves: a stream on them is looked at this often. */
  readonly checkEveryMs: number;
}
export const CASTIS_PACE: CastisPace = { deadlineMs: 5_000, checkEveryMs: 10_000 };
const BODY_BYTES_MAX = 64 * 1024;
const MESSAGE_LENGTH_MAX = 200;
const NOT_REACHED = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EADDRNOTAVAIL",
  ADDRESS_REFUSED,
]);

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** A body's own words where it has any, made fit for a message. */
const wordsOf = (text: string): string => {
  const body = parseJson(text);
  const { error, message, detail } = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const words = [detail, message, error].find((value) => typeof value === "string") ?? text;
  return String(words).replace(/\s+/g, " ").trim().slice(0, MESSAGE_LENGTH_MAX);
};

const wordsOfSilence = (code: string | undefined, message: string | undefined): string =>
  code === ADDRESS_REFUSED ? `not sent: ${PRIVATE_ADDRESS}` : `no answer: ${code ?? message ?? "unknown reason"}`;

const silence = (error: unknown, deadlineMs: number): CastisAnswer => {
  const { code, name, message } = error as { code?: string; name?: string; message?: string };
  const timedOut = name === "TimeoutError" || code === "ABORT_ERR";
  return {
    status: 0,
    body: undefined,
    message: timedOut ? `no answer within ${deadlineMs / 1000} s` : wordsOfSilence(code, message),
    reached: !NOT_REACHED.has(code ?? ""),
    timedOut,
  };
};

/** Throws for what makes no request: a URL that is none, a credential that no header may hold. */
const send = (node: CastisNode, request: CastisRequest, how: CastisHow & { signal: AbortSignal }): ClientRequest => {
  const { method, streamId, body } = request;
  const url = new URL(`${node.baseUrl}/api/streams/${encodeURIComponent(streamId)}`);
  const text = body === undefined ? undefined : JSON.stringify(body);
  const outgoing = (url.protocol === "https:" ? requestTls : requestPlain)(url, {
    method,
    agent: how.agents.for(url, node),
    signal: how.signal,
    headers: {
      accept: "application/json",
      ...(node.credential === null ? {} : { authorization: `Bearer ${node.credential}` }),
      ...(text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
    },
  });
  return outgoing.end(text);
};

export const castisRequest = (node: CastisNode, request: CastisRequest, how: CastisHow): Promise<CastisAnswer> =>
  new Promise((resolve) => {
    const signal = AbortSignal.timeout(how.deadlineMs);
    let outgoing: ClientRequest;
    try {
      outgoing = send(node, request, { ...how, signal });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      resolve({ ...silence(error, how.deadlineMs), message: `not sent: ${code ?? String(error)}`, reached: false });
      return;
    }
    const fail = (error: unknown) =>
      resolve(silence(signal.aborted ? { name: "TimeoutError" } : error, how.deadlineMs));
    outgoing.on("error", fail);
    outgoing.on("response", (response) => {
      const status = response.statusCode ?? 0;
      const chunks: Buffer[] = [];
      let sizeBytes = 0;
      const answer = (whole: boolean) => {
        const received = Buffer.concat(chunks).toString("utf8");
        const words = wordsOf(received);
        resolve({
          status,
          body: whole ? parseJson(received) : undefined,
          message: words === "" ? `HTTP ${status}` : `HTTP ${status}: ${words}`,
          reached: true,
          timedOut: false,
        });
        outgoing.destroy();
      };
      response.on("data", (chunk: Buffer) => {
        sizeBytes += chunk.length;
        if (sizeBytes > BODY_BYTES_MAX) answer(false);
        else chunks.push(chunk);
      });
      response.on("end", () => answer(response.complete));
      // A status that came is an answer, even when the connection broke inside of its body.
      response.on("error", () => answer(false));
    });
  });
