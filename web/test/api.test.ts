/** What `lib/` promises, with a fetch and a clock of the test's own. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { createApi, Problem, Session, type SessionOptions, type Task } from "../lib/api";

const MINUTE = 60_000;

interface Sent {
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  readonly body: unknown;
}

type Answer = () => Response | Promise<Response>;

/** A token of somebody that lives for a while; each call makes another one. */
function tokens(user = "ann", life = 15 * MINUTE, now = Date.now()) {
  let count = 0;
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return () => {
    count += 1;
    const iat = Math.floor(now / 1000);
    return `${encode({ alg: "EdDSA" })}.${encode({ sub: user, iat, exp: iat + life / 1000, count })}.x`;
  };
}

const json = (value: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(value === undefined ? null : JSON.stringify(value), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });

/** An API whose server answers what the test says, in that order; the last answer stays. */
function given(answers: Answer[], options: Partial<SessionOptions> = {}, token: () => string | null = tokens()) {
  const sent: Sent[] = [];
  const slept: number[] = [];
  const state = { fetched: 0, signedOut: 0, now: 0 };
  const session = new Session({
    fetchToken: async () => {
      state.fetched += 1;
      return token();
    },
    onSignedOut: () => {
      state.signedOut += 1;
    },
    clock: () => state.now,
    channel: null,
    ...options,
  });
  const api = createApi({
    baseUrl: "https://tasks.example.com/",
    session,
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
  });
  return { api, session, sent, slept, state };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
const unauthorized: Answer = () => json({ title: "Sign in first", detail: "x" }, 401);
const busy: Answer = () => json({ title: "Busy", detail: "later" }, 503, { "retry-after": "2" });
const unknown: Answer = () => json({ type: "/problems/outcome-unknown", detail: "x" }, 503);
const flooded: Answer = () => json({ title: "Too many", detail: "later" }, 429, { "retry-after": "2" });
const unreachable: Answer = () => Promise.reject(new TypeError("fetch failed"));
const isProblem = (status: number, type?: string) => (error: unknown) =>
  error instanceof Problem && error.status === status && (type === undefined || error.type.endsWith(type));

test("thirty parallel calls make one token fetch", async () => {
  const { api, state, sent } = given([() => json([])]);

  await Promise.all(Array.from({ length: 30 }, () => api.list()));

  assert.equal(state.fetched, 1);
  assert.equal(new Set(sent.map(({ headers }) => headers.get("authorization"))).size, 1);
});

test("a token is renewed shortly before it ends, by its own times", async () => {
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
  test(`a device whose date is ${hours} hours off notices nothing`, async () => {
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

test("401 twice ends in one word that the session is over, and requests wait until it is back", async () => {
  const { api, session, state, sent } = given([
    unauthorized,
    unauthorized,
    unauthorized,
    unauthorized,
    () => json({ id: "1" }, 201),
  ]);

  const waiting = Promise.all([api.create({ title: "one" }), api.create({ title: "two" })]);
  await settled();
  assert.equal(state.signedOut, 1);
  const before = sent.length;
  session.resume();
  await waiting;

  assert.equal(sent.length, before + 2);
  assert.deepEqual(
    new Set(sent.slice(before).map(({ body }) => (body as { title: string }).title)),
    new Set(["one", "two"]),
  );
});

test("given nobody to ask then the end of a session is a problem", async () => {
  const session = new Session({ fetchToken: async () => null, channel: null });
  const api = createApi({ baseUrl: "https://x", session, fetch: () => Promise.reject(new Error("not asked")) });

  await assert.rejects(api.list(), isProblem(401, "signed-out"));
});

test("a sign-in service that cannot be reached is no sign-out", async () => {
  const { api, state } = given([() => json([])], {
    fetchToken: () => Promise.reject(Problem.offline()),
  });

  await assert.rejects(api.create({ title: "x" }), isProblem(0));
  assert.equal(state.signedOut, 0);
});

test("signing out drops the token and tells what waits", async () => {
  const { api, session, state } = given([() => json([])], {}, () => null);

  const waiting = assert.rejects(api.list(), isProblem(401, "signed-out"));
  await settled();
  session.signOut();
  await waiting;

  assert.equal(state.signedOut, 1);
  assert.equal(session.user, null);
});

test("somebody else who signs in does not do what the one before asked for", async () => {
  let token = tokens("ann");
  let others = 0;
  const { api, session, sent } = given(
    [() => json([]), unauthorized, unauthorized, () => json({}, 201)],
    { onOtherUser: () => (others += 1) },
    () => token(),
  );
  await api.list();

  const write = assert.rejects(api.create({ title: "Ann's" }), isProblem(403, "other-user"));
  await settled();
  token = tokens("bob");
  session.resume();
  await write;

  assert.equal(others, 1);
  assert.equal(session.user, "bob");
  assert.equal(sent.length, 3);
});

test("another tab's sign-out is this one's, and its sign-in lets this one go on", async () => {
  const channel = new EventTarget() as BroadcastChannel;
  const posted: unknown[] = [];
  channel.postMessage = (message: unknown) => void posted.push(message);
  const say = (data: string) => channel.dispatchEvent(Object.assign(new Event("message"), { data }));
  let arrived = 0;
  const onSignedIn = () => {
    arrived += 1;
  };
  const { api, session, state } = given([() => json([])], { channel, onSignedIn });
  await api.list();

  say("signed-out");
  assert.equal(session.user, null);
  assert.equal(state.signedOut, 1);
  say("signed-in");
  await api.list();
  session.signOut();

  assert.equal(arrived, 1);
  assert.deepEqual(posted, ["signed-out"]);
});

for (const [name, call] of Object.entries({
  list: ({ api }: ReturnType<typeof given>) => api.list(),
  replace: ({ api }: ReturnType<typeof given>) => api.replace("1", { title: "x" }),
  remove: ({ api }: ReturnType<typeof given>) => api.remove("1"),
  create: ({ api }: ReturnType<typeof given>) => api.create({ title: "x" }),
  complete: ({ api }: ReturnType<typeof given>) => api.complete("1"),
}))
  for (const [what, answer] of Object.entries({ busy, flooded, unreachable }))
    test(`${name} is safe to repeat, and is repeated where the server is ${what}`, async () => {
      const api = given([answer, answer, () => json({})]);

      await call(api);

      assert.equal(api.sent.length, 3);
      assert.deepEqual(api.slept, what === "unreachable" ? [500, 1000] : [2000, 2000]);
      assert.equal(new Set(api.sent.map(({ headers }) => headers.get("idempotency-key"))).size, 1);
    });

for (const [name, call] of Object.entries({
  update: ({ api }: ReturnType<typeof given>) => api.update("1", { title: "x" }),
  move: ({ api }: ReturnType<typeof given>) => api.move("1", { before: "2" }),
  restore: ({ api }: ReturnType<typeof given>) => api.restore("1"),
}))
  test(`${name} is not repeated`, async () => {
    const api = given([busy]);

    await assert.rejects(call(api), isProblem(503));
    assert.equal(api.sent.length, 1);
  });

test("a conditional write whose answer was lost is not repeated: its own success would refuse it", async () => {
  const { api, sent } = given([unreachable]);

  await assert.rejects(api.replace("1", { title: "x" }, { ifVersion: 1 }), isProblem(0));
  await assert.rejects(api.remove("1", { ifVersion: 1 }), isProblem(0));
  assert.equal(sent.length, 2);
});

test("nor is one of which the server does not know whether it was done, unless it has no condition", async () => {
  const conditional = given([unknown]);
  const plain = given([unknown, () => json({})]);

  await assert.rejects(conditional.api.replace("1", { title: "x" }, { ifVersion: 1 }), isProblem(503));
  await plain.api.replace("1", { title: "x" });

  assert.deepEqual([conditional.sent.length, plain.sent.length], [1, 2]);
});

test("a task that may have been created already is tried again under its key", async () => {
  const { api, sent } = given([unreachable, unreachable, unreachable, unreachable, () => json({}, 201)]);
  const key = "8e03978e";

  await assert.rejects(api.create({ title: "x" }, { key }), isProblem(0));
  await api.create({ title: "x" }, { key });

  assert.deepEqual(new Set(sent.map(({ headers }) => headers.get("idempotency-key"))), new Set([`"${key}"`]));
});

test("what stays busy is a problem after four attempts", async () => {
  const { api, sent } = given([busy]);

  await assert.rejects(api.list(), isProblem(503));
  assert.equal(sent.length, 4);
});

test("a request whose first copy is still at work is asked for again", async () => {
  const inFlight = () => json({ title: "In flight", detail: "x" }, 409, { "retry-after": "1" });
  const { api, sent } = given([inFlight, () => json({ id: "1" }, 201)]);

  await api.create({ title: "x" });

  assert.equal(sent.length, 2);
});

test("an abort is told as it was said, before, during and after a token", async () => {
  const reason = new Error("never mind");
  const { api } = given([() => json([])]);
  await assert.rejects(api.list({}, { signal: AbortSignal.abort(reason) }), reason);

  const controller = new AbortController();
  const slow = given([() => new Promise(() => undefined)]);
  const fetching = given([() => json([])], { fetchToken: () => new Promise(() => undefined) });
  const over = given([() => json([])], {}, () => null);
  const waiting = [fetching, over].map(({ api }) =>
    assert.rejects(api.list({}, { signal: controller.signal }), reason),
  );
  await settled();
  controller.abort(reason);
  await Promise.all(waiting);
  assert.equal(slow.sent.length, 0);
});

for (const [what, body] of [
  ["HTML", "<h1>Bad Gateway</h1>"],
  ["nothing", ""],
  ["another shape", "[1]"],
] as const)
  test(`an error that answers ${what} is still a problem`, async () => {
    const { api } = given([() => new Response(body, { status: 502, statusText: "Bad Gateway" })]);

    await assert.rejects(api.get("1"), (error: Problem) => {
      assert.deepEqual([error.status, error.title, error.type], [502, "Bad Gateway", "about:blank"]);
      assert.ok(error.detail.length > 10);
      return true;
    });
  });

test("a success that is no JSON is a problem", async () => {
  const { api } = given([() => new Response("<h1>Hotel Wi-Fi</h1>")]);

  await assert.rejects(api.get("1"), isProblem(200));
});

test("a problem document is read whole", async () => {
  const errors = [{ pointer: "/title", detail: "must not be blank" }];
  const { api } = given([() => json({ type: "urn:x:y", title: "T", detail: "D", status: 400, errors }, 400)]);

  await assert.rejects(api.create({ title: "" }), (error: Problem) => {
    assert.deepEqual([error.type, error.title, error.detail, error.errors], ["urn:x:y", "T", "D", errors]);
    return true;
  });
});

test("pages are followed to the last", async () => {
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

test("each operation asks what the document says", async () => {
  const { api, sent } = given([() => json({})]);

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

test("queries are sent where URLSearchParams has no size (Safari 16, Chrome 112)", async () => {
  const size = Object.getOwnPropertyDescriptor(URLSearchParams.prototype, "size");
  assert.ok(size);
  delete (URLSearchParams.prototype as { size?: unknown }).size;
  try {
    const { api, sent } = given([() => json([])]);

    await api.list({ q: "milk", limit: 5 });

    assert.equal(sent[0]?.url.search, "?q=milk&limit=5");
  } finally {
    Object.defineProperty(URLSearchParams.prototype, "size", size);
  }
});
