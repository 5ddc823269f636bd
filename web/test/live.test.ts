/** How `lib/` follows the changes, with a server of server-sent events and a clock that the tests control. */

import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, mock, test } from "node:test";
import {
  type Api,
  apiFor,
  type Change,
  createTaskward,
  isCopyTooOld,
  isProblem,
  type LiveOptions,
  type Task,
} from "../lib";
import { fireEvent } from "./page";
import { tokenOf } from "./tokens";

interface Requested {
  readonly since: string | null;
  readonly token: string | undefined;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

type Answer = (response: ServerResponse, since: string | null) => void;

let server: Server;
const checks = new Set<() => void>(); // of the conditions that a test waits for
let streams: Requested[];
let reads: Requested[];
let onStream: Answer;
let onRead: Answer;
let testEnd: AbortController;
let slept: number[];

/** Starts a server. Each test has a new one, because `fetch` may keep connections to a server that was closed. */
async function startServer(): Promise<Server> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "", "http://server");
    const isStream = url.pathname.endsWith("/events");
    const since = url.searchParams.get("since");
    (isStream ? streams : reads).push({ since, token: request.headers.authorization, request, response });
    (isStream ? onStream : onRead)(response, since);
    check();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

beforeEach(async () => {
  server = await startServer();
  [streams, reads, slept, testEnd] = [[], [], [], new AbortController()];
  setMaxListeners(50, testEnd.signal);
  onStream = openStream();
  onRead = (response) => answer(response, 200, { changes: [], next: "t0", more: false });
});
afterEach(() => {
  testEnd.abort();
  server.close();
  server.closeAllConnections();
});

const task = (id: string, version = 1) => ({ id, version }) as Task;
const event = (name: string, data: object, id?: string) =>
  `${id === undefined ? "" : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
const ready = (at: string) => event("ready", { reach: "process" }, at);
const changes = (next: string, ...ids: string[]) =>
  event("changes", { changes: ids.map((id) => ({ id, task: task(id) })), next, more: false }, next);

/** Opens a stream that stays open, and sends these events. */
const openStream =
  (...events: string[]): Answer =>
  (response, since) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(ready(since === "now" ? "t0" : String(since)));
    for (const text of events) response.write(text);
  };

function answer(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}) {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

const gone: Answer = (response) => answer(response, 410, { type: "/problems/changes-gone", title: "x", detail: "x" });

/** Sends one response after the other, and repeats the last one. */
function inTurn(...answers: Answer[]): Answer {
  return (response, since) => (answers.length > 1 ? answers.shift() : answers[0])?.(response, since);
}

function api(fetch: typeof globalThis.fetch = globalThis.fetch): Api {
  const { api, session } = createTaskward({
    auth: async () => tokenOf("ann"),
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    fetch,
    sleep: async (milliseconds) => void slept.push(milliseconds),
  });
  testEnd.signal.addEventListener("abort", () => session.close());
  return api;
}

/** Follows the changes as a page. `heard` has what its handlers got; `failed` is the promise of the call. */
function followChanges(options: LiveOptions = {}, client = api()) {
  const heard: string[] = [];
  const hear = (what: string) => {
    heard.push(what);
    check();
  };
  const failed = client.live(({ id }: Change) => hear(id), {
    onResync: () => hear("resync"),
    onSince: hear,
    signal: testEnd.signal,
    ...options,
  });
  failed.catch(() => undefined);
  return { heard, failed };
}

/** Checks the conditions that a test waits for. Call it after each event that can make one true. */
function check(): void {
  for (const each of checks) each();
}

/** Waits until a condition holds when `check` is called. The time limit of the test ends a wait without success. */
async function until(holds: () => boolean): Promise<void> {
  if (holds()) return;
  await new Promise<void>((resolve) => {
    const resolveIfTrue = () => {
      if (!holds()) return;
      checks.delete(resolveIfTrue);
      resolve();
    };
    checks.add(resolveIfTrue);
  });
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

const LIMIT = { timeout: 20_000 }; // milliseconds

test("changes are read page by page, and `since` is the position of the copy", LIMIT, async () => {
  onRead = inTurn(
    (response) => answer(response, 200, { changes: [{ id: "a", task: task("a") }], next: "t1", more: true }),
    (response) => answer(response, 200, { changes: [{ id: "b", task: null }], next: "t2", more: false }),
  );
  const feed = api().changes("t0");
  const seen: unknown[] = [];

  for await (const { id, task } of feed) seen.push([id, task?.version, feed.since]);

  assert.deepEqual(seen, [
    ["a", 1, "t0"],
    ["b", undefined, "t1"],
  ]);
  assert.deepEqual(
    reads.map(({ since }) => since),
    ["t0", "t1"],
  );
  assert.equal(feed.since, "t2");
});

test("after a loop was left, `since` is before its page, so nothing is missed", LIMIT, async () => {
  onRead = (response) => answer(response, 200, { changes: [{ id: "a" }, { id: "b" }], next: "t1", more: false });
  const feed = api().changes("t0");

  for await (const _ of feed) break;

  assert.equal(feed.since, "t0");
});

test("`isCopyTooOld` recognises the problem of a copy that is too old", LIMIT, async () => {
  onRead = gone;

  await assert.rejects(async () => {
    for await (const _ of api().changes("t0"));
  }, isCopyTooOld);
});

test(
  "given no copy, the page reads its list again when the stream is open, and then gets each change",
  LIMIT,
  async () => {
    onStream = openStream(changes("t1", "a", "b"));

    const { heard } = followChanges();
    await until(() => heard.length === 5);

    assert.deepEqual(heard, ["resync", "t0", "a", "b", "t1"]);
    assert.equal(streams[0]?.since, "now");
  },
);

test("events are parsed from any chunks, with comments, CRLF and heartbeats between them", LIMIT, async () => {
  const text = `:\r\n\r\n${changes("t1", "ä").replaceAll("\n", "\r\n")}:\n\n${changes("t2", "b")}event: bye\ndata: {}\n\n`;
  const chunks = Array.from(Buffer.from(text), (byte) => Uint8Array.of(byte)).values();
  const body = new ReadableStream({
    pull: (controller) => {
      const { value, done } = chunks.next();
      if (!done) controller.enqueue(value);
    },
  });
  const fetch = async () => new Response(body, { headers: { "content-type": "text/event-stream; charset=utf-8" } });

  const { heard } = followChanges({ since: "t0" }, api(fetch));
  await until(() => heard.length === 4);

  assert.deepEqual(heard, ["ä", "t1", "b", "t2"]);
});

test("after each end the stream continues at its position, after about the time in `retry`", LIMIT, async () => {
  onStream = inTurn(
    (response, since) => {
      openStream(`retry: 2000\n${changes("t1", "a")}`, event("bye", { reason: "too-long" }))(response, since);
      response.end();
    },
    (response) => response.destroy(),
    (response) => response.destroy(),
    openStream(changes("t2", "b")),
  );

  const { heard } = followChanges({ since: "t0" });
  await until(() => heard.includes("b"));

  assert.deepEqual(
    streams.map(({ since }) => since),
    ["t0", "t1", "t1", "t1"],
  );
  for (const [index, expected] of [2000, 4000, 8000].entries()) {
    const wait = slept[index] ?? 0;
    assert.ok(wait >= 0.75 * expected && wait <= 1.25 * expected, `${wait} for ${expected}`);
  }
});

for (const reason of ["too-busy", "a reason of a later version"])
  test(`after a stream ended because of ${reason}, the next one begins at the client's position`, LIMIT, async () => {
    onStream = inTurn(
      (response, since) => {
        openStream(changes("t1", "a"), event("bye", { reason }))(response, since);
        response.end();
      },
      openStream(changes("t2", "b")),
    );

    const { heard } = followChanges({ since: "t0" });
    await until(() => heard.includes("b"));

    assert.deepEqual(
      streams.map(({ since }) => since),
      ["t0", "t1"],
    );
  });

test("the client waits at least as long as `Retry-After`", LIMIT, async () => {
  onStream = inTurn(
    (response) => answer(response, 429, { title: "x" }, { "retry-after": "77" }),
    openStream(changes("t1", "a")),
  );

  const { heard } = followChanges({ since: "t0" });
  await until(() => heard.includes("a"));

  assert.ok((slept[0] ?? 0) >= 77_000, String(slept));
});

for (const [how, refused] of [
  ["a 401", (response: ServerResponse) => answer(response, 401, { title: "x", detail: "x" })],
  [
    "the end of a token",
    (response: ServerResponse, since: string | null) => {
      openStream(event("bye", { reason: "token-expired" }))(response, since);
      response.end();
    },
  ],
] as const)
  test(`after ${how} the next attempt has another token`, LIMIT, async () => {
    onStream = inTurn(refused, openStream(changes("t1", "a")));

    const { heard } = followChanges({ since: "t0" });
    await until(() => heard.includes("a"));

    assert.equal(new Set(streams.map(({ token }) => token)).size, 2);
  });

for (const [how, tooOld] of [
  ["410", gone],
  [
    "`resync`",
    (response: ServerResponse, since: string | null) => {
      openStream(event("resync", {}))(response, since);
      response.end();
    },
  ],
] as const) {
  test(`given a copy, after ${how} all tasks replace it, and the stream goes on from there`, LIMIT, async () => {
    onRead = (response) => answer(response, 200, { changes: [{ id: "z", task: task("z") }], next: "t9", more: false });
    onStream = inTurn(tooOld, openStream(changes("t10", "a")));
    const copies: string[][] = [];

    const { heard } = followChanges({ since: "t0", onAll: (tasks) => void copies.push(tasks.map(({ id }) => id)) });
    await until(() => heard.includes("t10"));

    assert.deepEqual([copies, heard], [[["z"]], ["t9", "a", "t10"]]);
    assert.deepEqual([reads[0]?.since, streams[1]?.since], [null, "t9"]);
  });

  test(`given no copy, after ${how} the page reads again what it shows`, LIMIT, async () => {
    onStream = inTurn(tooOld, openStream(changes("t1", "a")));

    const { heard } = followChanges({ since: "old" });
    await until(() => heard.includes("t1"));

    assert.deepEqual(heard, ["resync", "t0", "a", "t1"]);
    assert.equal(reads.length, 0);
  });
}

test("seven pages of a browser share one stream, and all get a change", LIMIT, async () => {
  const pages = Array.from({ length: 7 }, () => followChanges());
  await until(() => pages.every(({ heard }) => heard.includes("resync")));

  streams[0]?.response.write(changes("t1", "a"));
  await until(() => pages.every(({ heard }) => heard.includes("a")));

  assert.equal(streams.length, 1);
  assert.equal(reads.length, 0); // all pages had the token of the stream, so none missed a change
});

test(
  "all pages get `onLive` when the stream fails, when the server gets no changes, and when each of the two is over",
  LIMIT,
  async () => {
    onStream = inTurn(openStream(), (response) => response.destroy(), openStream(event("live", { live: false })));
    const known: boolean[][] = [];
    const follow = async () => {
      const page: boolean[] = [];
      const onLive = (isLive: boolean) => {
        page.push(isLive);
        check();
      };
      known.push(page);
      followChanges({ onLive });
      await until(() => page.length === 1);
    };

    await follow();
    await follow();
    streams[0]?.response.end();
    await until(() => known.every((page) => page.length === 4));
    await follow();
    streams[2]?.response.write(event("live", { live: true }));
    await until(() => known.every((page) => page.at(-1) === true));

    const both = [true, false, true, false, true];
    assert.deepEqual(known, [both, both, [false, true]]);
  },
);

test("a page whose position differs from that of the stream reads the missing changes itself", LIMIT, async () => {
  const withStream = followChanges();
  await until(() => withStream.heard.includes("t0"));
  onRead = (response) =>
    answer(response, 200, { changes: [{ id: "missed", task: task("missed") }], next: "t0", more: false });

  const { heard } = followChanges({ since: "before" });
  await until(() => heard.includes("t0"));

  assert.deepEqual(heard, ["missed", "t0"]);
  assert.equal(streams.length, 1);
});

test("when the page with the stream is closed, another page opens a stream at its own position", LIMIT, async () => {
  const closing = new AbortController();
  const first = followChanges({ signal: closing.signal });
  await until(() => first.heard.includes("t0"));
  const second = followChanges();
  await until(() => second.heard.includes("t0"));

  streams[0]?.response.write(changes("t1", "a"));
  await until(() => second.heard.includes("t1"));
  closing.abort();
  await until(() => streams.length === 2);

  assert.equal(streams[1]?.since, "t1");
  await assert.rejects(first.failed, { name: "AbortError" });
});

test("a page that is hidden for a minute closes its stream, and continues when it is visible", LIMIT, async () => {
  const document = { visibilityState: "visible", addEventListener, removeEventListener };
  Object.assign(globalThis, { document });
  try {
    mock.timers.enable({ apis: ["setTimeout"] });
    const { heard } = followChanges();
    await until(() => heard.includes("t0"));
    const closed = new Promise((resolve) => streams[0]?.request.once("close", resolve));

    document.visibilityState = "hidden";
    fireEvent("visibilitychange");
    mock.timers.tick(30_000);
    streams[0]?.response.write(changes("t1", "a")); // otherwise the silence would end the stream
    await until(() => heard.includes("t1"));
    await turn();
    mock.timers.tick(29_000);
    await turn();
    assert.equal(streams[0]?.request.destroyed, false);
    mock.timers.tick(1_000);
    await closed;
    assert.equal(streams.length, 1);
    document.visibilityState = "visible";
    fireEvent("visibilitychange");
    await until(() => streams.length === 2);

    assert.equal(streams[1]?.since, "t1");
    assert.deepEqual(slept, []);
  } finally {
    delete (globalThis as { document?: unknown }).document;
  }
});

test(
  "a stream whose connection breaks in the middle is opened again, and the change after it arrives",
  LIMIT,
  async () => {
    const lives: boolean[] = [];
    const { heard, failed } = followChanges({ since: "t0", onLive: (isLive) => lives.push(isLive) });
    await until(() => streams.length === 1);
    await turn();
    onStream = openStream(changes("t1", "a"));

    streams[0]?.response.destroy();
    await Promise.race([failed, until(() => heard.includes("a"))]);

    assert.equal(streams.length, 2);
    assert.deepEqual(lives, [true, false, true]);
  },
);

test("a stream that is silent for 40 seconds is opened again", LIMIT, async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { heard } = followChanges({ since: "t0" });
  await until(() => streams.length === 1);
  streams[0]?.response.write(changes("t1", "a"));
  await until(() => heard.includes("t1"));
  await turn();

  mock.timers.tick(39_000);
  await turn();
  assert.equal(streams.length, 1);
  mock.timers.tick(1_000);
  await until(() => streams.length === 2);

  assert.equal(streams[1]?.since, "t1");
});

for (const status of [400, 403, 404, 406])
  test(`${status} ends the call without another attempt`, LIMIT, async () => {
    onStream = (response) => answer(response, status, { title: "x", detail: "x" });

    const { failed } = followChanges({ since: "t0" });

    await assert.rejects(failed, (error) => isProblem(error) && error.status === status);
    assert.equal(streams.length, 1);
  });

test("a handler that throws does not end the stream", LIMIT, async () => {
  onStream = openStream(changes("t1", "a"), changes("t2", "b"));
  const reported = mock.method(console, "error", () => undefined);
  const seen: string[] = [];

  const { heard } = followChanges({ since: "t0" }, {
    ...api(),
    live: (onChange, options) =>
      api().live((change) => {
        onChange(change);
        seen.push(change.id);
        throw new Error("a page's own");
      }, options),
  } as Api);
  await until(() => heard.includes("t2"));

  assert.deepEqual(seen, ["a", "b"]);
  assert.equal(reported.mock.callCount(), 2);
});

test("a client that `apiFor` made can follow changes too", LIMIT, async () => {
  onStream = openStream(changes("t1", "a"));
  const { port } = server.address() as AddressInfo;
  const auth = { api: { getToken: async () => ({ token: "t" }) } };

  const { heard } = followChanges(
    { since: "t0" },
    apiFor(new Headers(), { auth, baseUrl: `http://127.0.0.1:${port}` }),
  );
  await until(() => heard.includes("t1"));

  assert.deepEqual(heard, ["a", "t1"]);
});
