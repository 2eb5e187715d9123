/** Runs a golden script against a cache. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { type Answer, ScriptClient } from "./client.ts";
import { AGENT, type OriginRequest, ScriptedOrigin } from "./origin.ts";
import { durationMs, type Expectation, parseScript, type Script, type Step } from "./script.ts";
import { DEADLINE_MS, fieldOf, type Head, within } from "./wire.ts";

/** What a script wants of the cache's configuration. */
export interface ScriptConfig {
  /** One rule in the words of edge.json, for every address. */
  readonly rule: Readonly<Record<string, unknown>>;
}
/** A cache in front of one origin, with a clock that the script moves. */
export interface RunningTarget {
  readonly port: number;
  /** Moves both clocks, the monotonic one and the wall clock; resolves when what was due has begun. */
  advance(ms: number): void | Promise<void>;
  stop(): Promise<void>;
}
export interface Target {
  start(originUrl: string, config: ScriptConfig): Promise<RunningTarget>;
}

/** Nothing is kept or served beyond what the origin says, unless the script has a rule of its own. */
const DEFAULT_RULE = { cache: "honour", negativeTtl: "0s", grace: "0s" };
const ruleOf = (rule: Script["rule"]): Script["rule"] =>
  rule.cache === "bypass" ? rule : { ...DEFAULT_RULE, ...rule };

/** `{start-1h}` is the same instant in the whole script, `{now+60s}` moves along; as an HTTP-date. */
const withDates = (text: string, startMs: number, nowMs: number): string =>
  text.replaceAll(/\{(start|now)(?:([+-])(\w+))?\}/g, (_, from: string, sign = "+", time = "0s") => {
    const offsetMs = durationMs(String(time)) * (sign === "-" ? -1 : 1);
    return new Date((from === "start" ? startMs : nowMs) + offsetMs).toUTCString();
  });

/** `*`: is there; `/…/`: matches; `~ …`: contains; `a..b`: a number between; else the text itself. */
const holds = (actual: string, wanted: string): boolean => {
  const [, low, high] = /^(\d+)\.\.(\d+)$/.exec(wanted) ?? [];
  if (low !== undefined) return /^\d+$/.test(actual) && Number(actual) >= Number(low) && Number(actual) <= Number(high);
  if (wanted === "*") return true;
  if (wanted.startsWith("~ ")) return actual.includes(wanted.slice(2));
  if (wanted.length > 1 && wanted.startsWith("/") && wanted.endsWith("/"))
    return new RegExp(wanted.slice(1, -1)).test(actual);
  return actual === wanted;
};

const brief = (bytes: Buffer): string => {
  const text = bytes.toString("latin1");
  return text.length > 80 ? `${text.slice(0, 80)}… (${bytes.length} bytes)` : text;
};

class Run {
  readonly #origin: ScriptedOrigin;
  readonly #target: RunningTarget;
  readonly #clients = new Map<string, ScriptClient>();
  readonly #lastRequests = new Map<string, Buffer>();
  readonly #requests = new Map<string, OriginRequest>();
  /** Values that a step has captured, by name. */
  readonly #captured = new Map<string, string>();
  readonly #startMs = Math.floor(Date.now() / 1_000) * 1_000;
  #advancedMs = 0;

  constructor(origin: ScriptedOrigin, target: RunningTarget) {
    this.#origin = origin;
    this.#target = target;
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case "request":
        return this.#each(step.clients, (name) => this.#send(name, this.#requestBytes(step), step.method));
      case "raw-request":
        return this.#each(step.clients, (name) => this.#send(name, step.bytes, "GET"));
      case "leave":
        return this.#each(step.clients, async (name) => this.#client(name).leave());
      case "answer":
        return this.#each(step.clients, (name) => this.#expectAnswerOf(name, step));
      case "origin-request":
        return this.#expectRequest(step);
      case "origin-nothing":
        return assert.deepEqual(this.#origin.unasked, [], "requests that the origin should not get");
      case "origin-answer":
        return this.#answer(step);
      case "origin-bytes":
        return void this.#request(step.to).socket.write(step.bytes);
      case "origin-ends":
        return void this.#request(step.to).socket.end();
      case "origin-cuts":
        return void this.#request(step.to).socket.resetAndDestroy();
      case "origin-refuses":
        return this.#origin.refuse();
      case "origin-listens":
        return this.#origin.listen();
      case "after":
        this.#advancedMs += step.ms;
        return this.#target.advance(step.ms);
    }
  }

  finish(): void {
    assert.deepEqual(this.#origin.unasked, [], "requests that no step asked for");
  }
  leave(): void {
    for (const client of this.#clients.values()) client.leave();
  }

  async #each(names: readonly string[], act: (name: string) => Promise<void>): Promise<void> {
    for (const name of names.length === 0 ? [""] : names) await act(name);
  }
  #client(name: string): ScriptClient {
    const client = this.#clients.get(name);
    if (!client) throw new Error(`no client ${name} has asked yet`);
    return client;
  }
  #request(name: string): OriginRequest {
    const request = this.#requests.get(name);
    if (!request) throw new Error(`the origin has got no request ${name} yet`);
    return request;
  }
  #dated(text: string): string {
    const replayed = text.replaceAll(/\{([a-z]+)\}/g, (braced, name: string) => this.#captured.get(name) ?? braced);
    return withDates(replayed, this.#startMs, Date.now() + this.#advancedMs);
  }
  #lines(fields: readonly string[]): string {
    let text = "";
    for (let at = 0; at + 1 < fields.length; at += 2) text += `${fields[at]}: ${this.#dated(fields[at + 1] ?? "")}\r\n`;
    return text;
  }

  #requestBytes({ body, fields, method, target }: Extract<Step, { kind: "request" }>): Buffer {
    const has = (name: string): boolean => fields.some((field, at) => at % 2 === 0 && field.toLowerCase() === name);
    let head = `${method} ${target} HTTP/1.1\r\n`;
    if (!has("host")) head += "Host: edge.example\r\n";
    if (!has("user-agent")) head += `User-Agent: ${AGENT}\r\n`;
    head += this.#lines(fields);
    if (body !== undefined && !has("content-length")) head += `Content-Length: ${body.length}\r\n`;
    return Buffer.concat([Buffer.from(`${head}\r\n`, "latin1"), body ?? Buffer.alloc(0)]);
  }

  /** On a new connection; a client that is still connected leaves. */
  async #send(name: string, bytes: Buffer, method: string): Promise<void> {
    this.#clients.get(name)?.leave();
    const client = await within(ScriptClient.open(this.#target.port), "a connection");
    this.#clients.set(name, client);
    this.#lastRequests.set(name, bytes);
    client.send(bytes, method);
  }

  #check(head: Head, expectations: readonly Expectation[]): void {
    for (const { line, name, value } of expectations) {
      const actual = fieldOf(head, name.toLowerCase());
      if (value === undefined) {
        assert.equal(actual, undefined, `line ${line}: ${name} should not be there`);
        continue;
      }
      const wanted = this.#dated(value);
      const [, captured] = /^capture ([a-z]+)$/.exec(value) ?? [];
      if (captured !== undefined && actual !== undefined) {
        this.#captured.set(captured, actual);
        continue;
      }
      const isRight = actual !== undefined && holds(actual, wanted);
      assert.ok(isRight, `line ${line}: ${name}: ${wanted} was expected, not ${actual ?? "nothing"}`);
    }
  }

  async #expectAnswerOf(name: string, step: Extract<Step, { kind: "answer" }>): Promise<void> {
    if (!step.inTheEnd) return this.#expectAnswer(this.#client(name), step);
    const deadlineMs = performance.now() + DEADLINE_MS;
    for (;;) {
      try {
        return await this.#expectAnswer(this.#client(name), step);
      } catch (error) {
        const last = this.#lastRequests.get(name);
        if (last === undefined || performance.now() > deadlineMs) throw error;
        await this.#send(name, last, "GET");
      }
    }
  }

  async #expectAnswer(client: ScriptClient, step: Extract<Step, { kind: "answer" }>): Promise<void> {
    const answer: Answer = await client.answer();
    assert.ok(
      step.statuses.includes(answer.status),
      `${step.statuses} was expected, not ${JSON.stringify(answer.head)}`,
    );
    this.#check(answer.head, step.expectations);
    if (step.until === "head") {
      const wanted = step.body ?? Buffer.alloc(0);
      await within(answer.hasBytes(wanted.length), `${wanted.length} bytes of the body`);
      assert.equal(brief(answer.body.subarray(0, wanted.length)), brief(wanted));
      return;
    }
    const isWhole = await within(answer.finished, `the end of the body behind ${answer.body.length} bytes`);
    assert.equal(isWhole, step.until === "whole", `the body is whole, of ${answer.body.length} bytes`);
    if (step.until === "whole" && step.body !== undefined && !answer.body.equals(step.body)) {
      assert.fail(`the body is ${JSON.stringify(brief(answer.body))}, not ${JSON.stringify(brief(step.body))}`);
    }
    client.answerIsDone();
    if (step.isClosed) await client.closed();
  }

  async #expectRequest(step: Extract<Step, { kind: "origin-request" }>): Promise<void> {
    const request = await this.#origin.take(step.method, step.target);
    this.#check(request, step.expectations);
    if (step.body !== undefined) assert.equal(brief(request.body), brief(step.body), "the request's body");
    this.#requests.set(step.as, request);
    this.#requests.set("", request);
  }

  #answer({ body, end, fields, status, to }: Extract<Step, { kind: "origin-answer" }>): void {
    const { method, socket } = this.#request(to);
    const names = fields.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
    const isFramed = names.includes("content-length") || names.includes("transfer-encoding");
    const bytes = body ?? Buffer.alloc(0);
    let head = `HTTP/1.1 ${status} Any\r\n${this.#lines(fields)}`;
    if (!isFramed && status !== 204 && status !== 304) head += `Content-Length: ${bytes.length}\r\n`;
    socket.write(Buffer.from(`${head}\r\n`, "latin1"));
    if (method !== "HEAD") socket.write(typeof end === "number" ? bytes.subarray(0, end) : bytes);
    // What was written is to arrive: a reset would throw it away.
    if (typeof end === "number") socket.end();
    else if (names.includes("connection") && fields.includes("close") && end === "whole") socket.end();
  }
}

/**
 * Runs one script to its end.
 * @throws Error that names the file and the line of the step that did not hold.
 */
export const runScript = async (file: string, target: Target): Promise<void> => {
  const script = parseScript(await readFile(file, "utf8"));
  const origin = new ScriptedOrigin();
  await origin.listen();
  const running = await target.start(origin.url, { rule: ruleOf(script.rule) });
  const run = new Run(origin, running);
  let line = 0;
  try {
    for (const step of script.steps) {
      line = step.line;
      await run.step(step);
    }
    run.finish();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`${basename(file)}:${line} (${script.title}): ${message}`, { cause: error });
  } finally {
    run.leave();
    await within(running.stop(), "the cache's end");
    await within(origin.refuse(), "the origin's end");
  }
};
