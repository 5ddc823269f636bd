/** What `lib/` promises if something happens during a call: a late response, a sign-out, an abort. */

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import "./page";
import { createTaskward, isOtherUser, isProblem, isSignedOut, Problem, type TaskwardOptions } from "../lib";
import { encode, tokenOf } from "./tokens";

type Answer = (init: RequestInit) => Response | Promise<Response>;

/** Lets the running calls go as far as they can: waits for 5 ms. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 5));
const ok = () => Response.json([]);
const refused = () => Response.json({ title: "Sign in first", detail: "x" }, { status: 401 });
const missing = () => Response.json({ title: "No such task", detail: "x" }, { status: 404 });
const unreachable = () => Promise.reject(new TypeError("fetch failed"));
const busy = (seconds: number) => () =>
  Response.json({ title: "Busy", detail: "x" }, { status: 503, headers: { "retry-after": String(seconds) } });
const hasStatus = (status: number) => (error: unknown) => isProblem(error) && error.status === status;

/** A promise that the test resolves with `arrive`. */
function late<T>() {
  let arrive: (value: T) => void = () => undefined;
  const promise = new Promise<T>((resolve) => {
    arrive = resolve;
  });
  return { promise, arrive };
}

function given(
  answers: Answer[],
  auth: () => Promise<string | null> = async () => tokenOf("ann"),
  options: Partial<TaskwardOptions> = {},
) {
  const sent: string[] = [];
  const state = { signedOut: 0 };
  const onSignedOut = () => {
    state.signedOut += 1;
  };
  const slept: number[] = [];
  const { api, session } = createTaskward({
    auth,
    baseUrl: "https://tasks.example.com",
    whenSignedOut: "wait",
    onSignedOut,
    sleep: async (milliseconds) => void slept.push(milliseconds),
    fetch: async (_, init = {}) => {
      sent.push(new Headers(init.headers).get("authorization") ?? "");
      return ((answers.length > 1 ? answers.shift() : answers[0]) ?? ok)(init);
    },
    ...options,
  });
  return { api, session, sent, slept, state };
}

test("a token that arrives after the sign-out is dropped, and requests that waited for it are not sent", async () => {
  const token = late<string>();
  const { api, session, sent } = given([ok], () => token.promise);

  const write = assert.rejects(api.create({ title: "x" }), hasStatus(401));
  await settle();
  session.signedOut();
  token.arrive(tokenOf("ann"));
  await write;

  assert.equal(session.user, null);
  assert.equal(sent.length, 0);
});

test("a token requested before somebody else signed in does not become theirs", async () => {
  const anns = late<string>();
  const bobs = tokenOf("bob");
  const tokens = [anns.promise, Promise.resolve(bobs)];
  const { api, session, sent } = given([ok], () => tokens.shift() ?? unreachable());

  const list = api.list();
  await settle();
  session.changed();
  await settle();
  anns.arrive(tokenOf("ann"));
  await list;

  assert.equal(session.user, "bob");
  assert.deepEqual(sent, [`Bearer ${bobs}`]);
});

test("a 401 that comes after the person signed in again does not end the new session", async () => {
  const slow = late<Response>();
  const { api, session, sent, state } = given([refused, () => slow.promise, ok]);

  const list = api.list();
  await settle();
  session.signedOut();
  session.changed();
  slow.arrive(refused());
  await list;

  assert.equal(state.signedOut, 0);
  assert.equal(sent.length, 3);
});

test("an abort ends a running request", async () => {
  const controller = new AbortController();
  const reason = new Error("never mind");
  const { api } = given([
    ({ signal }) => new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason))),
  ]);

  const list = assert.rejects(api.list({}, { signal: controller.signal }), reason);
  await settle();
  controller.abort(reason);

  await list;
});

test("an abort ends the pause before a repetition, at once", async () => {
  const controller = new AbortController();
  const reason = new Error("never mind");
  const { api } = given([busy(5)], undefined, { sleep: () => new Promise(() => undefined) });

  const list = assert.rejects(api.list({}, { signal: controller.signal }), reason);
  await settle();
  controller.abort(reason);

  await list;
});

test("a list that is not JSON is a problem", async () => {
  const { api } = given([() => new Response("<h1>Hotel Wi-Fi</h1>")]);

  await assert.rejects(api.list(), hasStatus(200));
});

for (const [what, token] of [
  ["HTML", "<h1>Hotel Wi-Fi</h1>"],
  ["a token of nobody", `x.${encode({ iat: 0, exp: 900 })}.x`],
  ["nothing", undefined],
] as const)
  test(`a sign-in service that answers ${what} is a problem, and no sign-out`, async () => {
    const { api, sent, state } = given([ok], async () => token as string);

    await assert.rejects(api.list(), hasStatus(502));
    assert.deepEqual([sent.length, state.signedOut], [0, 0]);
  });

test("an error of the token function that may be a lost connection becomes a problem, and is its cause", async () => {
  const cause = new TypeError("a bug, or no network");
  const { api } = given([ok], () => Promise.reject(cause));

  await assert.rejects(api.update("1", {}), { name: "Problem", status: 0, cause });
});

test("a request to a busy sign-in service is repeated", async () => {
  const tokens = [
    Promise.reject(new Problem({ type: "other", status: 503, title: "Busy", detail: "x" })),
    Promise.resolve(tokenOf("ann")),
  ];
  const { api, sent } = given([ok], () => tokens.shift() ?? unreachable());

  await api.list();

  assert.equal(sent.length, 1);
});

test("a delete whose response was lost succeeds if the task no longer exists", async () => {
  const { api, sent } = given([unreachable, missing]);

  await api.remove("1");

  assert.equal(sent.length, 2);
});

test("a delete of an absent task is a problem", async () => {
  const { api } = given([missing]);

  await assert.rejects(api.remove("1"), hasStatus(404));
});

test("a request is not repeated if `Retry-After` is long", async () => {
  const { api, sent, slept } = given([busy(120)]);

  await assert.rejects(api.list(), hasStatus(503));

  assert.deepEqual([sent.length, slept], [1, []]);
});

test("a token request without a response ends in time, and does not delay the next one", async () => {
  const tokens = [new Promise<never>(() => undefined), Promise.resolve(tokenOf("ann"))];
  mock.timers.enable({ apis: ["setTimeout"] });
  const { api, sent } = given([ok], () => tokens.shift() ?? unreachable());

  const first = assert.rejects(api.move("1", { before: "2" }), (error) => isProblem(error) && error.type === "timeout");
  await new Promise((resolve) => setImmediate(resolve));
  mock.timers.tick(10_000);
  await first;
  await api.list();

  assert.equal(sent.length, 1);
});

test("an abort while the body of an error is read rejects with the signal's reason", async () => {
  const controller = new AbortController();
  const reason = new Error("never mind");
  const body = () => new ReadableStream({ start: (stream) => stream.enqueue(new TextEncoder().encode("{")) });
  const { api } = given([() => new Response(body(), { status: 500 })]);

  const list = assert.rejects(api.list({}, { signal: controller.signal }), reason);
  await settle();
  controller.abort(reason);

  await list;
});

test("a request without a response is repeated, and a server that never responds is a problem", async () => {
  let second = 0;
  mock.timers.enable({ apis: ["setTimeout"] });
  mock.method(performance, "now", () => second * 1_000);
  const { api, sent } = given([() => new Promise(() => undefined)]);

  const list = assert.rejects(api.list(), (error) => isProblem(error) && error.type === "timeout");
  for (; second < 31; second += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    mock.timers.tick(1_000);
  }
  await list;

  assert.ok(sent.length >= 2);
});

test("a handler that throws changes nothing: the call rejects, and the next call calls the handler again", async () => {
  const reported: unknown[] = [];
  const failure = new Error("a bug of the page");
  mock.method(console, "error", (error: unknown) => void reported.push(error));
  let isBroken = true;
  let calls = 0;
  const onSignedOut = () => {
    calls += 1;
    if (isBroken) throw failure;
  };
  const tokens: (string | null)[] = [null, null, tokenOf("ann")];
  const { api, session } = given([ok], async () => tokens.shift() ?? null, { onSignedOut });

  await assert.rejects(api.list(), (error) => isSignedOut(error) && error.cause === failure);
  isBroken = false;
  const waiting = api.list();
  await settle();
  session.changed();
  await waiting;

  assert.deepEqual([calls, reported], [2, [failure]]);
});

test("if somebody else than the person on the screen is signed in, calls reject until the page has cleared the screen", async () => {
  let others = 0;
  const onOtherUser = () => {
    others += 1;
  };
  const users = ["ann", "bob", "bob", "bob"];
  const { api, session } = given([ok], async () => tokenOf(users.shift() ?? "bob"), { onOtherUser });
  await api.list();

  session.changed();
  await settle();
  await assert.rejects(api.list(), isOtherUser);
  await assert.rejects(api.create({ title: "typed on Ann's screen" }), isOtherUser);
  session.cleared();
  await api.create({ title: "Bob's" });

  assert.equal(others, 1);
  assert.equal(session.user, "bob");
});
