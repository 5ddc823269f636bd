/** What `lib/` promises, with a `fetch` and a clock that the tests control. */

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import {
  createTaskward,
  isConflict,
  isCopyTooOld,
  isInvalid,
  isOffline,
  isOtherUser,
  isProblem,
  isSignedOut,
  newKey,
  Problem,
  type Task,
  type TaskwardOptions,
} from "../lib";
import { fireEvent } from "./page";
import { tokenOf } from "./tokens";

const MINUTE = 60_000; // milliseconds

interface Sent {
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  readonly body: unknown;
}

type Answer = () => Response | Promise<Response>;

/** Returns a function that makes tokens of a person, another one at each call. `life` and `now` are milliseconds. */
function tokens(user = "ann", life = 15 * MINUTE, now = Date.now()) {
  const iat = Math.floor(now / 1000);
  return () => tokenOf(user, { iat, exp: iat + life / 1000 });
}

const json = (value: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(value === undefined ? null : JSON.stringify(value), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });

/** An API whose server sends the responses of the test in this order, and repeats the last one. */
function given(answers: Answer[], options: Partial<TaskwardOptions> = {}, token: () => string | null = tokens()) {
  const sent: Sent[] = [];
  const slept: number[] = [];
  const state = { fetched: 0, signedOut: 0, now: 0 };
  mock.method(performance, "now", () => state.now);
  const { api, session } = createTaskward({
    auth: async () => {
      state.fetched += 1;
      return token();
    },
    baseUrl: "https://tasks.example.com/",
    whenSignedOut: "wait",
    onSignedOut: () => {
      state.signedOut += 1;
    },
    sleep: async (milliseconds) => void slept.push(milliseconds),
    fetch: async (input, init = {}) => {
      init.signal?.throwIfAborted();
      const body = typeof init.body === "string" ? JSON.parse(init.body) : undefined;
      sent.push({
        method: init.method ?? "GET",
        url: new URL(String(input)),
        headers: new Headers(init.headers),
        body,
      });
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      return (answer ?? (() => json({})))();
    },
    ...options,
  });
  return { api, session, sent, slept, state };
}

type Given = ReturnType<typeof given>;

/** Lets the running calls go as far as they can: waits for 5 ms. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 5));
const unauthorized: Answer = () => json({ title: "Sign in first", detail: "x" }, 401);
const busy: Answer = () => json({ title: "Busy", detail: "later" }, 503, { "retry-after": "2" });
const outcomeUnknown: Answer = () => json({ type: "/problems/outcome-unknown", detail: "x" }, 503);
const flooded: Answer = () => json({ title: "Too many", detail: "later" }, 429, { "retry-after": "2" });
const unreachable: Answer = () => Promise.reject(new TypeError("fetch failed"));
const hasStatus = (status: number, type?: string) => (error: unknown) =>
  isProblem(error) && error.status === status && (type === undefined || error.type === type);

test("thirty parallel calls make one token fetch", async () => {
  const { api, state, sent } = given([() => json([])]);

  await Promise.all(Array.from({ length: 30 }, () => api.list()));

  assert.equal(state.fetched, 1);
  assert.equal(new Set(sent.map(({ headers }) => headers.get("authorization"))).size, 1);
});

test("a token is renewed shortly before it expires, by the times in the token", async () => {
  const { api, state } = given([() => json([])]);

  await api.list();
  state.now = 14 * MINUTE;
  await api.list();
  assert.equal(state.fetched, 1);
  state.now = 14.6 * MINUTE;
  await api.list();

  assert.equal(state.fetched, 2);
});

for (const hours of [-2, 2])
  test(`a wrong date of a device, ${hours} hours off, has no effect`, async () => {
    const { api, state } = given([() => json([])], {}, tokens("ann", 15 * MINUTE, Date.now() + hours * 60 * MINUTE));

    await api.list();
    await api.list();

    assert.equal(state.fetched, 1);
    assert.equal(state.signedOut, 0);
  });

test("a 401 renews the token and repeats the request once", async () => {
  const { api, state, sent } = given([unauthorized, () => json([])]);

  await api.list();

  assert.equal(state.fetched, 2);
  assert.notEqual(sent[0]?.headers.get("authorization"), sent[1]?.headers.get("authorization"));
  assert.equal(state.signedOut, 0);
});

test("after two 401 `onSignedOut` is called once, and requests wait until the person has signed in again", async () => {
  const { api, session, state, sent } = given([
    unauthorized,
    unauthorized,
    unauthorized,
    unauthorized,
    () => json({ id: "1" }, 201),
  ]);

  const waiting = Promise.all([api.create({ title: "one" }), api.create({ title: "two" })]);
  await settle();
  assert.equal(state.signedOut, 1);
  const before = sent.length;
  session.changed();
  await waiting;

  assert.equal(sent.length, before + 2);
  assert.deepEqual(
    new Set(sent.slice(before).map(({ body }) => (body as { title: string }).title)),
    new Set(["one", "two"]),
  );
});

test("each call rejects if nobody is signed in, and `onSignedOut` is called once", async () => {
  const { api, state } = given([() => json([])], { whenSignedOut: "throw" }, () => null);

  await assert.rejects(api.list(), hasStatus(401, "signed-out"));
  await assert.rejects(api.list(), hasStatus(401, "signed-out"));

  assert.equal(state.signedOut, 1);
});

test("an unreachable sign-in service does not count as a sign-out", async () => {
  const { api, state } = given([() => json([])], {
    auth: () => Promise.reject(new TypeError("fetch failed")),
  });

  await assert.rejects(api.create({ title: "x" }), hasStatus(0));
  assert.equal(state.signedOut, 0);
});

for (const mistake of [
  new ReferenceError("tokens is not defined"),
  new TypeError("Cannot read properties of undefined (reading 'token')"),
  new TypeError("undefined is not an object (evaluating 'a.b')"),
  new TypeError("session.token is not a function"),
  new TypeError("Failed to parse URL from undefined/token"),
])
  test(`a token function that fails with "${mistake.message}" passes its own error on, at once`, async () => {
    const { api, state, sent } = given([() => json([])], { auth: () => Promise.reject(mistake) });

    await assert.rejects(api.list(), mistake);
    assert.deepEqual([sent.length, state.signedOut], [0, 0]);
  });

for (const [name, error] of [
  ["Chromium", new TypeError("Failed to fetch")],
  ["Firefox", new TypeError("NetworkError when attempting to fetch resource.")],
  ["Safari", new TypeError("Load failed")],
  ["React Native", new TypeError("Network request failed")],
  ["a library", new Error("Network Error")],
] as const)
  test(`if the token function fails as ${name} does without a connection, the call rejects as offline`, async () => {
    const { api } = given([() => json([])], { auth: () => Promise.reject(error) });

    await assert.rejects(api.list(), hasStatus(0, "offline"));
  });

test("a sign-out rejects the requests that wait for a sign-in", async () => {
  const { api, session, state } = given([() => json([])], {}, () => null);

  const waiting = assert.rejects(api.list(), hasStatus(401, "signed-out"));
  await settle();
  session.signedOut();
  await waiting;

  assert.equal(state.signedOut, 1);
});

test("a request of the previous person is not sent for another person who signs in", async () => {
  let token = tokens("ann");
  let others = 0;
  const onOtherUser = () => {
    others += 1;
  };
  const { api, session, sent } = given(
    [() => json([]), unauthorized, unauthorized, () => json({}, 201)],
    { onOtherUser },
    () => token(),
  );
  await api.list();

  const write = assert.rejects(api.create({ title: "Ann's" }), hasStatus(403, "other-user"));
  await settle();
  token = tokens("bob");
  session.changed();
  await write;

  assert.equal(others, 1);
  assert.equal(session.user, "ann");
  assert.equal(sent.length, 3);
});

test("a waiting request of the previous person is not sent for the next one, even after `cleared`", async () => {
  let token = tokens("ann");
  const { api, session, sent } = given(
    [() => json([]), unauthorized, unauthorized, () => json({}, 201)],
    { onOtherUser: () => session.cleared() },
    () => token(),
  );
  await api.list();

  const write = assert.rejects(api.create({ title: "Ann's" }), hasStatus(403, "other-user"));
  await settle();
  token = tokens("bob");
  session.changed();
  await write;

  assert.equal(session.user, "bob");
  assert.equal(sent.length, 3);
});

test("a sign-out in another tab signs this one out, and a sign-in there lets this one continue", async () => {
  let arrived = 0;
  const ways: string[] = [];
  const onSignedIn = () => {
    arrived += 1;
  };
  const here = given([() => json([])], { onSignedIn, onSignedOut: (how) => ways.push(how) });
  const there = given([() => json([])]);
  await here.api.list();
  await there.api.list();

  there.session.signedOut();
  await there.api.list();
  await settle();
  await here.api.list();
  here.session.close();
  there.session.close();

  assert.deepEqual(ways, ["elsewhere"]);
  assert.equal(arrived, 1);
});

const done: Answer = () => json({ id: "1" });
const repeatable: Record<string, [(given: Given) => Promise<unknown>, Answer]> = {
  list: [({ api }) => api.list(), () => json([])],
  replace: [({ api }) => api.replace("1", { title: "x" }), done],
  remove: [({ api }) => api.remove("1"), () => json(undefined, 204)],
  create: [({ api }) => api.create({ title: "x" }), done],
  complete: [({ api }) => api.complete("1"), done],
};
for (const [name, [call, success]] of Object.entries(repeatable))
  for (const [what, answer] of Object.entries({ busy, flooded, unreachable }))
    test(`${name} is safe to repeat, and is repeated where the server is ${what}`, async () => {
      const api = given([answer, answer, success]);

      await call(api);

      assert.equal(api.sent.length, 3);
      assert.deepEqual(api.slept, what === "unreachable" ? [500, 1000] : [2000, 2000]);
      assert.equal(new Set(api.sent.map(({ headers }) => headers.get("idempotency-key"))).size, 1);
    });

for (const [name, call] of Object.entries({
  update: ({ api }: Given) => api.update("1", { title: "x" }),
  move: ({ api }: Given) => api.move("1", { before: "2" }),
  restore: ({ api }: Given) => api.restore("1"),
}))
  test(`${name} is not repeated`, async () => {
    const api = given([busy]);

    await assert.rejects(call(api), hasStatus(503));
    assert.equal(api.sent.length, 1);
  });

test("a conditional write whose response was lost is not repeated: its own success would make it fail", async () => {
  const { api, sent } = given([unreachable]);

  await assert.rejects(api.replace("1", { title: "x" }, { ifVersion: 1 }), hasStatus(0));
  await assert.rejects(api.remove("1", { ifVersion: 1 }), hasStatus(0));
  assert.equal(sent.length, 2);
});

test("a write of unknown outcome is repeated only if it has no condition", async () => {
  const conditional = given([outcomeUnknown]);
  const plain = given([outcomeUnknown, () => json({})]);

  await assert.rejects(conditional.api.replace("1", { title: "x" }, { ifVersion: 1 }), hasStatus(503));
  await plain.api.replace("1", { title: "x" });

  assert.deepEqual([conditional.sent.length, plain.sent.length], [1, 2]);
});

test("a create whose response was lost is repeated with its Idempotency-Key", async () => {
  const { api, sent } = given([unreachable, unreachable, unreachable, unreachable, () => json({}, 201)]);
  const key = "8e03978e";

  await assert.rejects(api.create({ title: "x" }, { key }), hasStatus(0));
  await api.create({ title: "x" }, { key });

  assert.deepEqual(new Set(sent.map(({ headers }) => headers.get("idempotency-key"))), new Set([`"${key}"`]));
});

test("a server that stays busy is a problem after four attempts", async () => {
  const { api, sent } = given([busy]);

  await assert.rejects(api.list(), hasStatus(503));
  assert.equal(sent.length, 4);
});

test("a request whose first copy is still running is repeated", async () => {
  const inFlight = () => json({ title: "In flight", detail: "x" }, 409, { "retry-after": "1" });
  const { api, sent } = given([inFlight, () => json({ id: "1" }, 201)]);

  await api.create({ title: "x" });

  assert.equal(sent.length, 2);
});

test("an abort before a call, while it fetches a token or while it waits for a sign-in rejects with its own reason", async () => {
  const reason = new Error("never mind");
  const { api } = given([() => json([])]);
  await assert.rejects(api.list({}, { signal: AbortSignal.abort(reason) }), reason);

  const controller = new AbortController();
  let resolveToken: (token: null) => void = () => undefined;
  const token = new Promise<null>((resolve) => {
    resolveToken = resolve;
  });
  const fetching = given([() => json([])], { auth: () => token });
  const over = given([() => json([])], {}, () => null);
  const waiting = [fetching, over].map(({ api }) =>
    assert.rejects(api.list({}, { signal: controller.signal }), reason),
  );
  await settle();
  controller.abort(reason);
  await Promise.all(waiting);
  resolveToken(null);
  await settle();
  assert.deepEqual([fetching.sent.length, over.sent.length], [0, 0]);
});

for (const [what, body] of [
  ["HTML", "<h1>Bad Gateway</h1>"],
  ["nothing", ""],
  ["another shape", "[1]"],
] as const)
  test(`an error response with ${what} as its body is still a problem`, async () => {
    const { api } = given([() => new Response(body, { status: 502, statusText: "Bad Gateway" })]);

    await assert.rejects(api.get("1"), (error: Problem) => {
      assert.deepEqual([error.status, error.title, error.type], [502, "Bad Gateway", "other"]);
      assert.ok(error.detail.length > 10);
      return true;
    });
  });

test("a successful response that is not JSON is a problem", async () => {
  const { api } = given([() => new Response("<h1>Hotel Wi-Fi</h1>")]);

  await assert.rejects(api.get("1"), hasStatus(200));
});

test("a problem document is read completely, and can be passed on as data or as a response", async () => {
  const errors = [{ pointer: "/title", detail: "must not be blank" }];
  const document = { type: "https://t.example/problems/invalid-request", title: "T", detail: "D", status: 400, errors };
  const { api } = given([() => json(document, 400, { "x-request-id": "r1" })]);

  const problem = await api.create({ title: "" }).catch((error: unknown) => error);
  assert.ok(isInvalid(problem));

  assert.deepEqual(JSON.parse(JSON.stringify(problem)), {
    ...document,
    type: "invalid-request",
    uri: document.type,
    retryAfter: null,
    requestId: "r1",
  });
  const answer = problem.toResponse();
  assert.deepEqual([answer.status, await answer.json()], [400, { ...document, request_id: "r1" }]);
});

test("`toResponse` of a problem that no server sent has the status of a gateway error", () => {
  const fields = { status: 0, title: "x", detail: "x" };

  assert.equal(new Problem({ ...fields, type: "offline" }).toResponse().status, 502);
  assert.equal(new Problem({ ...fields, type: "timeout" }).toResponse().status, 504);
  for (const status of [101, 200, 204, 302, 999])
    assert.equal(new Problem({ ...fields, type: "not-understood", status }).toResponse().status, 502);
  assert.equal(
    new Problem({ ...fields, type: "too-busy", status: 503, retryAfter: 7 }).toResponse().headers.get("retry-after"),
    "7",
  );
});

test("`isConflict`, `isInvalid` and `isOffline` each recognise only their own kind of problem", async () => {
  const kinds = [
    [() => json({ type: "/problems/task-changed" }, 412), isConflict],
    [() => json({ type: "/problems/invalid-request" }, 400), isInvalid],
    [unreachable, isOffline],
  ] as const;
  for (const [answer, is] of kinds) {
    const { api } = given([answer]);
    const problem = await api.move("1", { before: "2" }).catch((error: unknown) => error);
    assert.deepEqual(
      kinds.map(([, other]) => other(problem)),
      kinds.map(([, other]) => other === is),
    );
  }
});

test("a problem whose type the client does not know has the type `other`", async () => {
  const { api } = given([() => json({ type: "https://t.example/problems/brand-new" }, 418)]);

  await assert.rejects(api.get("1"), hasStatus(418, "other"));
});

test("`all` reads every page to the last", async () => {
  const next = { link: '</api/me/tasks?limit=2&cursor=abc%3D>; rel="next"' };
  const { api, sent } = given([() => json([{ id: "1" }, { id: "2" }], 200, next), () => json([{ id: "3" }])]);
  const seen: Task[] = [];

  for await (const task of api.all({ limit: 2, tag: ["a", "b"] })) seen.push(task);

  assert.deepEqual(
    seen.map(({ id }) => id),
    ["1", "2", "3"],
  );
  assert.deepEqual(
    sent.map(({ url }) => url.search),
    ["?limit=2&tag=a&tag=b", "?limit=2&tag=a&tag=b&cursor=abc%3D"],
  );
});

test("each operation sends what the OpenAPI document describes", async () => {
  const gone: Answer = () => json(undefined, 204);
  const { api, sent } = given([done, done, done, done, done, gone, done]);

  await api.get("a/b");
  await api.update("1", { due: null }, { ifVersion: 3 });
  await api.replace("1", { title: "x" });
  await api.complete("1", true);
  await api.complete("1");
  await api.remove("1", { permanent: true });
  await api.restore("1");
  await api.move("1", { after: "2" });
  await api.summary("Europe/Berlin");
  await api.batch([{ op: "delete", id: "1" }]);

  const path = "https://tasks.example.com/api/me/tasks";
  assert.deepEqual(
    sent.map(({ method, url, body }) => [method, url.href, body]),
    [
      ["GET", `${path}/a%2Fb`, undefined],
      ["PATCH", `${path}/1`, { due: null }],
      ["PUT", `${path}/1`, { title: "x" }],
      ["PATCH", `${path}/1/complete`, { completed: true }],
      ["PATCH", `${path}/1/complete`, undefined],
      ["DELETE", `${path}/1?permanent=true`, undefined],
      ["POST", `${path}/1/restore`, undefined],
      ["POST", `${path}/1/move`, { after: "2" }],
      ["GET", `${path}/summary?tz=Europe%2FBerlin`, undefined],
      ["POST", `${path}/batch`, { operations: [{ op: "delete", id: "1" }] }],
    ],
  );
  assert.equal(sent[1]?.headers.get("if-match"), '"3"');
  assert.equal(sent[1]?.headers.get("content-type"), "application/merge-patch+json");
});

test("the values of a query are percent-encoded, a list repeats its name, and `undefined` is left out", async () => {
  const { api, sent } = given([() => json([])]);

  await api.list({ q: "milk & 1 + 1 = 2", limit: 5, tag: ["zu Hause", "ä"], completed: undefined as never });

  assert.equal(sent[0]?.url.search, "?q=milk%20%26%201%20%2B%201%20%3D%202&limit=5&tag=zu%20Hause&tag=%C3%A4");
});

test("an Idempotency-Key is made without `crypto.randomUUID`", () => {
  mock.getter(globalThis, "crypto", () => undefined);

  const keys = new Set(Array.from({ length: 100 }, newKey));

  assert.equal(keys.size, 100);
  for (const key of keys) assert.match(key, /^[0-9a-f]{32}$/);
});

test("a delete that gets HTML with 200 is a problem", async () => {
  const { api } = given([() => new Response("<h1>Hotel Wi-Fi</h1>")]);

  await assert.rejects(api.remove("1"), hasStatus(200, "not-understood"));
});

test("no function of the API throws synchronously, with any arguments", async () => {
  const { api } = given([() => json([])]);
  const noAddress = "\ud800";
  const noJson = 1n as never;
  const bad: { [Name in keyof typeof api]: readonly unknown[] } = {
    list: [null],
    all: [null],
    get: [noAddress],
    create: [noJson],
    update: [noAddress, noJson],
    replace: [noAddress, noJson],
    complete: [noAddress, noJson],
    remove: ["1", null],
    restore: [noAddress],
    move: [noAddress, noJson],
    batch: [noJson],
    changes: [noAddress],
    live: [null, { since: noAddress }],
    summary: [noAddress],
  };

  for (const [name, values] of Object.entries(bad)) {
    const call = (...given: readonly unknown[]) => {
      const made = (api as unknown as Record<string, (...given: readonly unknown[]) => unknown>)[name]?.(...given);
      return Symbol.asyncIterator in (made as object)
        ? (made as AsyncIterable<unknown>)[Symbol.asyncIterator]().next()
        : (made as Promise<unknown>);
    };
    await assert.rejects(call(...values), name);
    await Promise.allSettled([call(), call(null, null, null)]);
  }
});

test("no function of a session throws, and no function that recognises a kind of problem, with any arguments", () => {
  const { session } = given([], { auth: () => assert.fail("a function that is not async") });
  for (const is of [isProblem, isConflict, isCopyTooOld, isInvalid, isOffline, isOtherUser, isSignedOut])
    for (const error of [undefined, null, 0, "x", {}, new Error("x"), Object.create(null)])
      assert.equal(is(error), false);

  session.changed();
  session.cleared();
  session.cleared("ann");
  session.signedOut();
  session.close();
  session.close();
});

test("a token is dropped when the person comes back to the page: another person may have signed in", async () => {
  const { api, session, state } = given([() => json([])]);
  await api.list();

  fireEvent("focus");
  await api.list();
  fireEvent("pageshow", { persisted: true });
  await api.list();
  fireEvent("pageshow", { persisted: false });
  await api.list();
  session.close();

  assert.equal(state.fetched, 3);
});
