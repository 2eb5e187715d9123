import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import { ServiceBroker, type ServiceSchema } from "moleculer";
import { pino } from "pino";
import { z } from "zod";
import { Fault, fail } from "../../contracts/errors.ts";
import { ChannelId } from "../../contracts/ids.ts";
import { ask, fact } from "../../contracts/kit.ts";
import { metricsText } from "../metrics/metrics.ts";
import { brokerOptions } from "./broker.ts";
import { announce, answer, type Call, leftMs, on, send, sendTo, tenantOf } from "./contract.ts";
import { deadNodesService, nodesDied } from "./dead-nodes.ts";

const TENANT = { tenantId: "018f3f0a-0000-7000-8000-000000000001", tenant: "acme" };

const greet = ask("greeter.greet", {
  input: z.strictObject({ name: z.string().min(2), times: z.int().default(1), channel: ChannelId.optional() }),
  result: z.object({ text: z.string(), tenant: z.string() }),
  deadlineMs: 2_000,
  errors: ["CHANNEL_NOT_FOUND"],
});
const looseAsk = (name: string, deadlineMs = 60_000) =>
  ask(name, { input: z.looseObject({}), result: z.looseObject({}), deadlineMs, errors: [], retriable: true });
const free = looseAsk("free.do");
const hasty = looseAsk("hasty.do", 50);
const careful = looseAsk("careful.do");
/** What a hung handler waits for: not before the test has ended. */
const testEnd = (t: TestContext): Promise<never> =>
  new Promise((_, reject) => t.after(() => reject(new Fault("SHUTTING_DOWN"))));

interface Logged {
  readonly msg: string;
  readonly requestId?: string;
  readonly tenant?: string;
  readonly ask?: string;
  readonly err?: { readonly message: string; readonly stack: string };
}
interface Nodes {
  readonly caller: ServiceBroker;
  readonly callee: ServiceBroker;
  readonly logged: Logged[];
}
type Services = Record<string, NonNullable<ServiceSchema["actions"]>>;

/** Two nodes that speak over Moleculer's in-process bus, with everything that a real bus serializes. */
const twoNodes = async (
  t: TestContext,
  services: Services,
  ...[onCaller = {}, { tracking = false } = {}]: [onCaller?: Services, options?: { tracking?: boolean }]
): Promise<Nodes> => {
  const logged: Logged[] = [];
  const log = pino({ level: "error" }, { write: (line: string) => logged.push(JSON.parse(line)) });
  const namespace = randomUUID();
  const node = (nodeId: string, named: Services): ServiceBroker => {
    const config = { nodeId, namespace, natsUrl: null };
    // A broker that stops waits for what is in flight and for the news to spread; nobody is left to tell here.
    const hasty = {
      tracking: { enabled: tracking && nodeId === "caller" },
      registry: { preferLocal: true, stopDelay: 0 },
    };
    const broker = new ServiceBroker({ ...brokerOptions(config, log), ...hasty, transporter: "Fake" });
    broker.createService(deadNodesService(broker));
    broker.createService({ name: `${nodeId}-is-known` });
    for (const [name, actions] of Object.entries(named)) broker.createService({ name, actions });
    return broker;
  };
  const caller = node("caller", onCaller);
  const callee = node("callee", services);
  t.after(() => Promise.all([caller.stop(), callee.stop()]));
  await Promise.all([caller.start(), callee.start()]);
  await Promise.all([
    caller.waitForServices("callee-is-known", 10_000),
    callee.waitForServices("caller-is-known", 10_000),
  ]);
  return { caller, callee, logged };
};
const thrownBy = async (promise: Promise<unknown>): Promise<Fault> => {
  const error = await promise.then(
    () => assert.fail("nothing was thrown"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Fault, `not a fault: ${error}`);
  return error;
};

const greeter = {
  greet: answer(greet, ({ name, times }, call) => ({
    text: `hello ${name}`.repeat(times),
    tenant: tenantOf(call).tenant,
    internal: "not in the contract",
  })),
};

describe("an ask", { concurrency: true }, () => {
  test("carries its tenant and request id, and its result is cut to the contract", async (t) => {
    let requestId: string | null = null;
    const actions = {
      greet: answer(greet, (input, call) => {
        requestId = call.requestID;
        return { text: `${input.name} ${input.times}`, tenant: tenantOf(call).tenantId, internal: 1 };
      }),
    };
    const { caller } = await twoNodes(t, { greeter: actions });
    const result = await send(caller, greet, { name: "Ann" }, { ...TENANT, requestId: "r-1" });
    assert.deepEqual(result, { text: "Ann 1", tenant: TENANT.tenantId });
    assert.equal(requestId, "r-1");
  });

  test("passes its tenant and request id on to the asks below it", async (t) => {
    let seen: unknown;
    const below = {
      greet: answer(greet, (_, call) => {
        seen = { ...tenantOf(call), requestId: call.requestID, scopes: call.meta.scopes };
        return { text: "", tenant: "" };
      }),
    };
    const above = { do: answer(free, (_, call) => send(call, greet, { name: "Ann" })) };
    const { callee } = await twoNodes(t, { free: above }, { greeter: below });
    await send(callee, free, {}, { ...TENANT, requestId: "r-2", scopes: ["channel:read"] });
    assert.deepEqual(seen, { ...TENANT, requestId: "r-2", scopes: ["channel:read"] });
  });

  test("with bad input is BAD_INPUT with one complaint per field, and never reaches the behaviour", async (t) => {
    let ran = false;
    const actions = {
      greet: answer(greet, () => {
        ran = true;
        return { text: "", tenant: "" };
      }),
    };
    const { caller, logged } = await twoNodes(t, { greeter: actions });
    const bad = { name: "A", times: "many", extra: 1, channel: "abc" } as unknown as { name: string };
    const { code, status, data } = await thrownBy(send(caller, greet, bad, TENANT));
    assert.deepEqual({ code, status }, { code: "BAD_INPUT", status: 422 });
    const errors = data.errors as { path: string; message: string }[];
    assert.deepEqual(errors.map(({ path }) => path).sort(), ["channel", "extra", "name", "times"]);
    assert.equal(errors.find(({ path }) => path === "channel")?.message, "must be a positive integer");
    assert.equal(errors.find(({ path }) => path === "extra")?.message, "is not a known field");
    assert.equal(ran, false);
    assert.deepEqual(logged, []);
  });

  test("that fails by the catalogue gives its caller the same code and data", async (t) => {
    const actions = { greet: answer(greet, () => fail("CHANNEL_NOT_FOUND", { channelId: 7 })) };
    const { caller, logged } = await twoNodes(t, { greeter: actions });
    const { code, data, message } = await thrownBy(send(caller, greet, { name: "Ann" }, TENANT));
    assert.deepEqual(
      { code, data, message },
      { code: "CHANNEL_NOT_FOUND", data: { channelId: 7 }, message: "There is no channel 7." },
    );
    assert.deepEqual(logged, []);
  });

  test("that fails by a bug is INTERNAL without its message, and is logged once with its stack", async (t) => {
    const below = {
      greet: answer(greet, () => {
        throw new Error("password=hunter2");
      }),
    };
    const above = { do: answer(free, (_, call) => send(call, greet, { name: "Ann" })) };
    const { caller, logged } = await twoNodes(t, { free: above }, { greeter: below });
    const fault = await thrownBy(send(caller, free, {}, { ...TENANT, requestId: "r-3" }));
    assert.equal(fault.code, "INTERNAL");
    assert.deepEqual(fault.data, { requestId: "r-3" });
    assert.doesNotMatch(JSON.stringify([fault.message, fault.stack, fault.data]), /hunter2/);
    const [first, ...rest] = logged;
    assert.deepEqual(rest, []);
    assert.equal(first?.requestId, "r-3");
    assert.equal(first?.tenant, "acme");
    assert.equal(first?.ask, "greeter.greet");
    assert.match(first?.err?.stack ?? "", /hunter2[\s\S]*contract\.test\.ts/);
  });

  test("whose answer is not what the contract says is a bug of the callee", async (t) => {
    const wrong = { text: 5, tenant: "x" } as unknown as { text: string; tenant: string };
    const { caller, logged } = await twoNodes(t, { greeter: { greet: answer(greet, () => wrong) } });
    assert.equal((await thrownBy(send(caller, greet, { name: "Ann" }, TENANT))).code, "INTERNAL");
    assert.match(logged[0]?.err?.message ?? "", /answers what its contract does not have/);
  });

  test("without a tenant is refused where a tenant is needed", async (t) => {
    const { caller } = await twoNodes(t, { greeter });
    assert.equal((await thrownBy(send(caller, greet, { name: "Ann" }))).code, "TENANT_MISSING");
    const slugOnly = send(caller, greet, { name: "Ann" }, { tenant: "acme" });
    assert.equal((await thrownBy(slugOnly)).code, "TENANT_MISSING");
  });

  test("that nobody answers is STARTING", async (t) => {
    const { caller } = await twoNodes(t, {});
    const { code, data } = await thrownBy(send(caller, greet, { name: "Ann" }, TENANT));
    assert.deepEqual({ code, data }, { code: "STARTING", data: { what: "greeter.greet" } });
  });

  test("goes to the node that it names", async (t) => {
    const at = (name: string) => ({ greet: answer(greet, () => ({ text: name, tenant: "" })) });
    const { caller } = await twoNodes(t, { greeter: at("callee") }, { greeter: at("caller") });
    for (const node of ["callee", "caller"]) {
      assert.equal((await sendTo(caller, node, greet, { name: "Ann" }, TENANT)).text, node);
    }
    assert.equal((await thrownBy(sendTo(caller, "nobody", greet, { name: "Ann" }, TENANT))).code, "STARTING");
  });

  test("counts its time under its name and code", async (t) => {
    const { caller } = await twoNodes(t, { greeter });
    await send(caller, greet, { name: "Ann" }, TENANT);
    await thrownBy(send(caller, greet, { name: "A" }, TENANT));
    const text = await metricsText();
    assert.match(text, /castellan_ask_seconds_count\{ask="greeter\.greet",code="OK"\} [1-9]/);
    assert.match(text, /castellan_ask_seconds_count\{ask="greeter\.greet",code="BAD_INPUT"\} [1-9]/);
  });
});

describe("a hostile callee", { concurrency: true }, () => {
  const evil = { tenantId: "018f3f0a-0000-7000-8000-00000000beef", tenant: "evil" };
  const hostile = {
    do: {
      handler: (call: Call) => {
        Object.assign(call.meta, evil);
        return {};
      },
    },
    fail: {
      handler: (call: Call) => {
        call.meta = evil;
        throw new Error("after the change");
      },
    },
  };
  const freeFail = looseAsk("free.fail");

  for (const place of ["on another node", "in the same process"]) {
    test(`${place} can't make its caller another tenant, whether it returns or throws`, async (t) => {
      const seen: unknown[] = [];
      const carefully = {
        do: answer(careful, async (_, call) => {
          await send(call, free, {});
          seen.push(tenantOf(call));
          await send(call, freeFail, {}).catch(() => {});
          seen.push(tenantOf(call));
          await call.call("free.do");
          seen.push(tenantOf(call));
          await call.call("free.fail").catch(() => {});
          seen.push(tenantOf(call));
          return {};
        }),
      };
      const remote = place === "on another node";
      const { caller } = await twoNodes(
        t,
        remote ? { free: hostile } : {},
        remote ? { careful: carefully } : { careful: carefully, free: hostile },
      );
      const meta = { ...TENANT };
      await send(caller, careful, {}, meta);
      assert.deepEqual(seen, [TENANT, TENANT, TENANT, TENANT]);
      await send(caller, free, {}, meta);
      assert.deepEqual(meta, TENANT);
    });
  }
});

describe("a deadline", { concurrency: true }, () => {
  test("that passes is DEADLINE_PASSED", async (t) => {
    const { caller } = await twoNodes(t, { hasty: { do: answer(hasty, () => testEnd(t)) } });
    const { code, data } = await thrownBy(send(caller, hasty, {}));
    assert.deepEqual({ code, data }, { code: "DEADLINE_PASSED", data: { what: "hasty.do" } });
  });

  test("leaves nothing behind that a stop would wait for, where the answer is lost", async (t) => {
    const services = { hasty: { do: answer(hasty, () => ({})) } };
    const { caller, callee } = await twoNodes(t, services, {}, { tracking: true });
    const { transit } = callee as unknown as { transit: { sendResponse: () => Promise<void> } };
    transit.sendResponse = async () => {};
    assert.equal((await thrownBy(send(caller, hasty, {}))).code, "DEADLINE_PASSED");
    const startedAt = performance.now();
    await caller.stop();
    assert.ok(performance.now() - startedAt < 8_000, "less than the ten seconds that a stop waits for calls");
  });

  test("goes down with the call: an ask below another has at most what is left of its caller's", async (t) => {
    const left: number[] = [];
    const below = {
      do: answer(free, (_, call) => {
        left.push(leftMs(call));
        return {};
      }),
    };
    const above = {
      greet: answer(greet, async (_, call) => {
        left.push(leftMs(call));
        await send(call, free, {});
        return { text: "", tenant: "" };
      }),
    };
    const { caller } = await twoNodes(t, { free: below, greeter: above });
    await send(caller, greet, { name: "Ann" }, TENANT);
    const [first = 0, second = 0] = left;
    assert.ok(first <= greet.deadlineMs && first > 0, `${first}`);
    assert.ok(second <= first && second > 0, `${second} of ${first}`);
    await send(caller, greet, { name: "Ann" }, { ...TENANT, deadlineMs: 700 });
    assert.ok((left[2] ?? Infinity) <= 700 && (left[3] ?? Infinity) <= 700, `${left}`);
  });

  test("that has passed already sends nothing", async (t) => {
    let asked = 0;
    const below = {
      do: answer(free, () => {
        asked += 1;
        return {};
      }),
    };
    const { caller } = await twoNodes(t, { free: below });
    assert.equal((await thrownBy(send(caller, free, {}, { deadlineMs: 0 }))).code, "DEADLINE_PASSED");
    assert.equal(asked, 0);
  });
});

describe("a node that dies", { concurrency: true }, () => {
  test("fails the calls that wait for it at once, and a retriable ask goes to another node", async (t) => {
    const hung = Promise.withResolvers<void>();
    const stuck = {
      do: answer(free, () => {
        hung.resolve();
        return testEnd(t);
      }),
    };
    const { caller, callee } = await twoNodes(t, { free: stuck });
    const asked = send(caller, free, {});
    await hung.promise;
    caller.createService({ name: "free", actions: { do: answer(free, () => ({ from: "caller" })) } });
    await caller.waitForServices("free");
    announce(caller, nodesDied, { nodeIds: [callee.nodeID] });
    assert.deepEqual(await asked, { from: "caller" });
  });

  test("fails an ask that must not run twice", async (t) => {
    const hung = Promise.withResolvers<void>();
    const stuck = {
      greet: answer(greet, () => {
        hung.resolve();
        return testEnd(t);
      }),
    };
    const { caller, callee } = await twoNodes(t, { greeter: stuck });
    const asked = thrownBy(send(caller, greet, { name: "Ann" }, { ...TENANT, deadlineMs: 60_000 }));
    await hung.promise;
    announce(caller, nodesDied, { nodeIds: [callee.nodeID, caller.nodeID] });
    assert.equal((await asked).code, "DEADLINE_PASSED");
  });
});

describe("a broadcast hint", { concurrency: true }, () => {
  const happened = fact("greeter.happened", z.object({ count: z.int() }));

  test("reaches every node, with the tenant of the call that it comes from", async (t) => {
    const { caller, callee } = await twoNodes(t, {});
    const heard = [caller, callee].map((broker) => {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      const events = on(happened, ({ count }, call) => resolve({ count, ...tenantOf(call) }));
      broker.createService({ name: `listener-${broker.nodeID}`, events });
      return promise;
    });
    await caller.waitForServices(["listener-callee", "listener-caller"], 10_000);
    announce(caller, happened, { count: 3 }, TENANT);
    assert.deepEqual(await Promise.all(heard), [
      { count: 3, ...TENANT },
      { count: 3, ...TENANT },
    ]);
  });

  test("that is malformed, or whose handler throws, is logged and hurts nobody", async (t) => {
    const { caller, logged } = await twoNodes(t, {});
    const heard: number[] = [];
    const events = on(happened, ({ count }) => {
      heard.push(count);
      if (count === 1) throw new Error("handler broke");
    });
    caller.createService({ name: "listener", events });
    await caller.waitForServices("listener");
    await caller.broadcast(happened.name, { count: "x" });
    await caller.broadcast(happened.name, { count: 1 });
    await caller.broadcast(happened.name, { count: 2 });
    assert.deepEqual(heard, [1, 2]);
    assert.equal(logged.length, 2);
    assert.match(logged[1]?.err?.message ?? "", /handler broke/);
  });
});
