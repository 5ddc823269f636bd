/** Which requests of an address `address-limits.ts` passes on, and when. */

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import {
  Agent,
  createServer,
  type IncomingMessage,
  type RequestListener,
  type RequestOptions,
  request,
  type Server,
  type ServerResponse,
} from "node:http";
import { type AddressInfo, connect } from "node:net";
import { type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { boundAddresses, clientReader } from "../address-limits.ts";
import type { RequestTraits } from "../before-auth.ts";
import { boundPipelines } from "../connections.ts";
import { leavePlace } from "../request-end.ts";
import { until } from "./until.ts";

const WITHIN = { timeout: 15_000 }; // milliseconds, so a request without a response does not hang a test

type Bounds = Parameters<typeof boundAddresses>[2];

/** A server that answers a request when the test calls `end`. `begun` has the requests that passed the limits. */
async function given(t: TestContext, bounds: Bounds) {
  const begun: { path: string | undefined; end: () => void }[] = [];
  const listener = (asked: IncomingMessage, response: ServerResponse) =>
    begun.push({ path: asked.url, end: () => response.end() });
  const server = createServer(boundPipelines(boundAddresses(listener, [], bounds)));
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close().closeAllConnections());
  const paths = () => begun.map(({ path }) => path).join(" ");
  const end = (path: string) => begun.find((each) => each.path === path)?.end();
  return { server, begun, paths, end };
}

const portOf = (server: Server) => (server.address() as AddressInfo).port;

/** Sends a request on a connection of its own. It resolves to the response. */
function ask(server: Server, path: string, localAddress = "127.0.0.1", more: RequestOptions = {}) {
  const options = { port: portOf(server), host: "127.0.0.1", localAddress, path, agent: new Agent(), ...more };
  const asked = request(options).end();
  asked.on("error", () => undefined);
  const answer = once(asked, "response").then(([response]) => response as IncomingMessage);
  answer.catch(() => undefined);
  return { answer, leave: () => asked.destroy() };
}

test(
  "an address that has sent too many requests gets a fixed refusal, and another address is served",
  WITHIN,
  async (t) => {
    const { server, begun, paths, end } = await given(t, { quota: { max: 2, window: 10 } });

    for (const path of ["/1", "/2"]) {
      const { answer } = ask(server, path);
      await until(() => paths().includes(path));
      end(path);
      await answer;
    }
    const refused = await ask(server, "/3").answer;
    const other = ask(server, "/4", "127.0.0.2");
    await until(() => begun.length === 3);
    end("/4");

    assert.equal((await other.answer).statusCode, 200);
    assert.equal(paths(), "/1 /2 /4");
    assert.equal(refused.statusCode, 429);
    assert.ok(["10", "9"].includes(refused.headers["retry-after"] ?? ""));
    const { connection, "content-type": type, "x-retry-after": wait } = refused.headers;
    assert.deepEqual([connection, type, wait], ["close", "application/json", refused.headers["retry-after"]]);
    assert.deepEqual(JSON.parse(String(await refused.toArray())), {
      message: "Too many requests. Please try again later.",
    });
  },
);

test("only a page of a trusted origin can read the refusal, also after a preflight", WITHIN, async (t) => {
  const { server, begun, end } = await given(t, {
    quota: { max: 1, window: 10 },
    trustedOrigins: ["https://app.example.com"],
  });
  const refused = (origin: string, method = "POST") =>
    ask(server, "/api/auth/sign-in/email", undefined, { method, headers: { origin } }).answer;

  ask(server, "/1");
  await until(() => begun.length === 1);
  end("/1");

  const trusted = await refused("https://app.example.com");
  const preflight = await refused("https://app.example.com", "OPTIONS");
  const others = [await refused("https://app.example.com.evil.example"), await refused("null", "OPTIONS")];

  const cors = {
    "access-control-allow-origin": "https://app.example.com",
    "access-control-allow-credentials": "true",
    vary: "Origin",
  };
  const readable = { ...cors, "access-control-expose-headers": "Retry-After, X-Retry-After" };
  assert.deepEqual([trusted.statusCode, corsOf(trusted)], [429, readable]);
  const allowed = { ...cors, "access-control-allow-headers": "Content-Type,Authorization" };
  assert.deepEqual([preflight.statusCode, corsOf(preflight)], [204, allowed]);
  for (const other of others) assert.deepEqual([other.statusCode, corsOf(other)], [429, { vary: "Origin" }]);
});

const corsOf = ({ headers }: IncomingMessage) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name === "vary" || name.startsWith("access-control-")));

test(
  "few requests of an address run at once, the next ones wait in order, and the others are refused",
  WITHIN,
  async (t) => {
    const { server, begun, paths, end } = await given(t, { atOnce: 2, waitingMax: 2 });
    const asked = [];
    for (const path of ["/1", "/2", "/3", "/4"]) {
      asked.push(ask(server, path));
      await pause(20);
    }
    const refused = await ask(server, "/5").answer;
    asked.push(ask(server, "/6", "127.0.0.2"));
    await until(() => begun.length === 3);
    assert.equal(paths(), "/1 /2 /6");

    end("/2");
    await until(() => begun.length === 4);
    assert.equal(paths(), "/1 /2 /6 /3");
    for (const path of ["/1", "/3", "/6"]) end(path);
    await until(() => begun.length === 5);
    end("/4");

    const statuses = (await Promise.all(asked.map(({ answer }) => answer))).map(({ statusCode }) => statusCode);
    assert.deepEqual(statuses, [200, 200, 200, 200, 200]);
    assert.deepEqual([refused.statusCode, refused.headers["retry-after"]], [429, "1"]);
  },
);

test("a request whose client has disconnected does not run, and frees its place in the queue", WITHIN, async (t) => {
  const { server, paths, end } = await given(t, { atOnce: 1, waitingMax: 1 });
  ask(server, "/1");
  await until(() => paths() === "/1");
  const waiting = ask(server, "/2");
  await pause(50);
  waiting.leave();
  await pause(50);

  const next = ask(server, "/3");
  await pause(50);
  end("/1");
  await until(() => paths() === "/1 /3");
  end("/3");

  assert.equal((await next.answer).statusCode, 200);
});

test(
  "a connection that ends before all its responses were sent frees the places of all its requests",
  WITHIN,
  async (t) => {
    const { server, begun, paths } = await given(t, { atOnce: 4 });
    const warned = t.mock.method(process, "emitWarning");
    const client = connect(portOf(server), "127.0.0.1");
    client.write([1, 2, 3, 4].map((path) => `GET /${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`).join(""));
    await until(() => begun.length === 4);
    client.destroy();

    for (const path of ["/5", "/6", "/7", "/8"]) ask(server, path);
    await until(() => begun.length === 8);

    assert.equal(paths(), "/1 /2 /3 /4 /5 /6 /7 /8");
    assert.equal(warned.mock.callCount(), 0); // no event has more listeners than Node finds normal
  },
);

test("a body that has not arrived takes no place, and a whole body is passed on", WITHIN, async (t) => {
  const bodies: string[] = [];
  const listener = (asked: IncomingMessage & { rawBody?: Buffer }, response: ServerResponse) => {
    bodies.push(String(asked.rawBody));
    response.end();
  };
  const read = () => ({ kind: "others" }) as const;
  const server = createServer(boundAddresses(listener, [], { atOnce: 1, authAtOnce: 1, read }));
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close().closeAllConnections());
  const send = (body: string) => {
    const client = connect(portOf(server), "127.0.0.1");
    client.write(`POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n${body}`);
    return client;
  };

  const slow = send("sl");
  await pause(50);
  await once(send("fast"), "data");
  slow.write("ow");
  await once(slow, "data");

  assert.deepEqual(bodies, ["fast", "slow"]);
});

test("of a body that is too large, the beginning is passed on at once", WITHIN, async (t) => {
  let begun: IncomingMessage & { rawBody?: Buffer } = {} as IncomingMessage;
  const listener = (asked: IncomingMessage, response: ServerResponse) => {
    begun = asked;
    response.end();
  };
  const read = () => ({ kind: "others" }) as const;
  const server = createServer(boundAddresses(listener, [], { read }));
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close().closeAllConnections());
  const client = connect(portOf(server), "127.0.0.1");

  client.write("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  const chunk = `4000\r\n${"x".repeat(0x4000)}\r\n`;
  client.write(chunk.repeat(5)); // and no end
  await once(client, "data");

  const { length = 0 } = begun.rawBody ?? {};
  assert.ok(length > 0x10000 && length <= 0x14000, String(length));
});

test("a connection that breaks frees its place once: one waiting request begins, not two", WITHIN, async (t) => {
  const { server, paths } = await given(t, { atOnce: 1 });
  const running = ask(server, "/1");
  await until(() => paths() === "/1");
  for (const path of ["/2", "/3"]) {
    ask(server, path);
    await pause(20);
  }

  running.leave();
  await until(() => paths() === "/1 /2");
  await pause(50);

  assert.equal(paths(), "/1 /2");
});

/** Passes a made-up request to a listener, and returns its response. The response ends when it emits `close`. */
function passRequest(
  listener: RequestListener,
  url: string,
  remoteAddress = "192.0.2.1",
  writeHead = (_status: number) => {},
): EventEmitter {
  const socket = Object.assign(new EventEmitter(), { remoteAddress });
  const response = Object.assign(new EventEmitter(), { writeHead, end: () => undefined });
  listener({ socket, url, headers: {} } as never, response as never);
  return response;
}

test("a waiting request begins in a later iteration of the event loop, so other requests are read in between", async () => {
  const begun: (string | undefined)[] = [];
  const listener = boundAddresses(({ url }) => begun.push(url), [], { atOnce: 1 });
  const [first] = ["/1", "/2"].map((url) => passRequest(listener, url));

  first?.emit("close");
  await Promise.resolve();
  assert.deepEqual(begun, ["/1"]);
  await new Promise(setImmediate);

  assert.deepEqual(begun, ["/1", "/2"]);
});

test("by default an address may send 500 requests in ten seconds, and 8 at once", WITHIN, async (t) => {
  const { server, begun } = await given(t, {});
  for (let n = 0; n < 9; n += 1) ask(server, `/${n}`);
  await until(() => begun.length === 8);
  await pause(50);
  assert.equal(begun.length, 8);

  let passed = 0;
  const listener = boundAddresses(() => {
    passed += 1;
  }, []);
  for (let n = 0; n < 600; n += 1) passRequest(listener, "/").emit("close");
  assert.equal(passed, 500);
});

/**
 * Limits in front of Better Auth, which answers a request when the test calls `end`. By default one request runs at a time;
 * with `authAtOnce: undefined` as many run as on the real server. `/s1` and `/s1/2` have a session of account 1, `/o1` has none, `/n1`
 * is to a path that Better Auth does not have, `/p1` is a file of the page. `onBegin` is called when a request begins.
 */
function givenAuth(bounds: Bounds = {}, onBegin = (_url: string) => {}) {
  const begun: string[] = [];
  const refused: string[] = [];
  const responses = new Map<string, EventEmitter>();
  const read = ({ url = "" }: IncomingMessage): RequestTraits => {
    const [, first = "", account = ""] = /^\/(.)(\d+)/.exec(url) ?? [];
    if (first === "s") return { kind: "signedIn", account };
    return { kind: first === "o" ? "others" : first === "n" ? "noRoute" : "page" };
  };
  const listener = boundAddresses(
    ({ url = "" }) => {
      begun.push(url);
      onBegin(url);
    },
    [],
    { authAtOnce: 1, read, ...bounds },
  );
  const end = (url: string) => responses.get(url)?.emit("close");
  return {
    begun,
    refused,
    ask: (url: string, address?: string) =>
      responses.set(
        url,
        passRequest(listener, url, address, (status) => status === 429 && refused.push(url)),
      ),
    end,
    /** Ends each request that begins, until so many have begun. */
    endInTurn: async (count: number) => {
      await iterations();
      while (begun.length < count) {
        end(begun.at(-1) ?? "");
        await iterations();
      }
    },
  };
}

/** Lets the event loop run for so many iterations. */
const iterations = async (count = 20) => {
  for (let iteration = 0; iteration < count; iteration += 1) await new Promise(setImmediate);
};

test("addresses take turns at Better Auth, however many requests one of them has waiting", async () => {
  const { begun, ask, endInTurn } = givenAuth();
  for (const url of ["/o1", "/o2", "/o3", "/o4"]) ask(url, "192.0.2.1");
  for (const url of ["/o5", "/o6"]) ask(url, "192.0.2.2");
  ask("/o7", "192.0.2.3");

  await endInTurn(7);

  assert.equal(begun.join(" "), "/o1 /o5 /o7 /o2 /o6 /o3 /o4");
});

test("requests with a session go first, and each fourth turn is for those without", async () => {
  const { begun, ask, endInTurn } = givenAuth();
  for (let n = 1; n <= 8; n += 1) ask(`/o${n}`, `192.0.2.${n}`);
  for (let n = 1; n <= 8; n += 1) ask(`/s${n}`, `192.0.2.${n + 8}`);

  await endInTurn(16);

  assert.equal(begun.join(" "), "/s1 /s2 /s3 /o1 /s4 /s5 /s6 /o2 /s7 /s8 /o3 /o4 /o5 /o6 /o7 /o8");
});

test("accounts with a session take turns, from however many addresses one of them sends requests", async () => {
  const { begun, ask, endInTurn } = givenAuth();
  for (let n = 0; n < 6; n += 1) ask(`/s1/${n}`, `192.0.2.${n}`);
  await iterations();
  ask("/s2", "192.0.2.8");
  ask("/s3", "192.0.2.9");

  await endInTurn(8);

  assert.equal(begun.join(" "), "/s1/0 /s1/1 /s2 /s3 /s1/2 /s1/3 /s1/4 /s1/5");
});

test("an account that comes later waits for one request of each other account", async () => {
  const { begun, ask, endInTurn } = givenAuth();
  for (let n = 0; n < 4; n += 1) for (const account of [1, 2]) ask(`/s${account}/${n}`, `192.0.2.${account}${n}`);
  await endInTurn(4);
  assert.equal(begun.join(" "), "/s1/0 /s2/0 /s1/1 /s2/1");

  ask("/s3", "192.0.2.9");
  await endInTurn(9);

  assert.equal(begun.slice(4).join(" "), "/s1/2 /s2/2 /s3 /s1/3 /s2/3");
});

test("with a session too, addresses take turns, however many accounts one of them has", async () => {
  const { begun, ask, endInTurn } = givenAuth();
  for (let n = 1; n <= 4; n += 1) ask(`/s${n}`, "192.0.2.1");
  for (let n = 5; n <= 6; n += 1) ask(`/s${n}`, "192.0.2.2");

  await endInTurn(6);

  assert.equal(begun.join(" "), "/s1 /s5 /s2 /s6 /s3 /s4");
});

test("an account that had no request here for a while waits for those who came before", async () => {
  const { begun, ask, end, endInTurn } = givenAuth();
  ask("/s1/a", "192.0.2.1");
  await iterations();
  end("/s1/a");
  ask("/s2", "192.0.2.2");
  await iterations();
  ask("/s3", "192.0.2.3");
  ask("/s1/b", "192.0.2.1");

  await endInTurn(4);

  assert.equal(begun.join(" "), "/s1/a /s2 /s3 /s1/b");
});

test("two requests of an account run at once, from however many addresses, and the next one begins when one ends", async () => {
  const { begun, ask, end } = givenAuth({ authAtOnce: undefined });
  for (let n = 0; n < 7; n += 1) ask(`/s1/${n}`, `192.0.2.${n}`);
  ask("/s2", "192.0.2.9");
  await iterations();
  assert.equal(begun.join(" "), "/s1/0 /s2 /s1/1");

  end("/s1/1");
  await iterations();

  assert.equal(begun.join(" "), "/s1/0 /s2 /s1/1 /s1/2");
});

test("an account may send 60 requests to Better Auth in ten seconds, from all its addresses together", async () => {
  const { begun, refused, ask, end } = givenAuth();
  for (let n = 0; n < 62; n += 1) {
    ask(`/s1/${n}`, `192.0.2.${n}`);
    await iterations(2);
    end(`/s1/${n}`);
  }
  ask("/s2", "192.0.2.1");
  await iterations();

  assert.equal(begun.length, 61);
  assert.equal(begun.at(-1), "/s2");
  assert.equal(refused.join(" "), "/s1/60 /s1/61");
});

test("few requests of an account wait, and the others are refused", async () => {
  const { ask, refused } = givenAuth({ waitingMax: 3 });
  ask("/s1/0", "192.0.2.0");
  await iterations();

  for (let n = 1; n <= 5; n += 1) ask(`/s1/${n}`, `192.0.2.${n}`);
  ask("/s2", "192.0.2.9");

  assert.equal(refused.join(" "), "/s1/4 /s1/5");
});

test("one request to Better Auth begins in each iteration of the event loop, even if each is answered at once", async () => {
  const { begun, ask, end } = givenAuth({ authAtOnce: 4 }, (url) => end(url));
  for (let n = 1; n <= 6; n += 1) ask(`/o${n}`, `192.0.2.${n}`);

  const counts: number[] = [begun.length];
  for (let iteration = 0; iteration < 6; iteration += 1) {
    await iterations(1);
    counts.push(begun.length);
  }

  assert.deepEqual(counts, [0, 1, 2, 3, 4, 5, 6]);
});

test("a request that leaves its place lets another begin, and frees no second place at its end", async () => {
  const { begun, ask, end } = givenAuth({}, (url) => url === "/o1" && leavePlace());
  for (let n = 1; n <= 4; n += 1) ask(`/o${n}`, `192.0.2.${n}`);
  await iterations();
  assert.equal(begun.join(" "), "/o1 /o2");

  end("/o1");
  await iterations();

  assert.equal(begun.join(" "), "/o1 /o2");
});

test("a file of the page does not wait, and a path that Better Auth does not have takes no place", async () => {
  const { begun, ask } = givenAuth();
  for (const url of ["/o1", "/s1", "/n1", "/p1"]) ask(url);

  await iterations();

  assert.equal(begun.join(" "), "/p1 /s1");
});

test("a request whose client has disconnected before its turn gives up its turn", async () => {
  const { begun, ask, end } = givenAuth();
  for (let n = 1; n <= 3; n += 1) ask(`/o${n}`, `192.0.2.${n}`);
  await iterations();

  end("/o2");
  end("/o1");
  await iterations();

  assert.equal(begun.join(" "), "/o1 /o3");
});

test(
  "a path that Better Auth does not have gets the same 404 as from Better Auth, and counts as a request to it",
  WITHIN,
  async (t) => {
    const { server, begun } = await given(t, {
      authQuota: { max: 2, window: 10 },
      read: ({ url }) => ({ kind: url?.startsWith("/api/auth/") ? "noRoute" : "page" }),
      trustedOrigins: ["https://app.example.com"],
    });
    const askNoRoute = () =>
      ask(server, "/api/auth/0.5", undefined, { headers: { origin: "https://app.example.com" } }).answer;

    const answers = [await askNoRoute(), await askNoRoute(), await askNoRoute()];
    ask(server, "/");
    await until(() => begun.length === 1);

    assert.deepEqual(
      answers.map(({ statusCode }) => statusCode),
      [404, 404, 429],
    );
    const {
      "cache-control": cache,
      "content-length": length,
      "x-content-type-options": type,
    } = answers[0]?.headers ?? {};
    assert.deepEqual([cache, length, type], ["no-store", "0", "nosniff"]);
    assert.equal(answers[0]?.headers["access-control-allow-origin"], "https://app.example.com");
  },
);

test("by default an address may send 150 requests to Better Auth in ten seconds, and 8 of all addresses run at once", async () => {
  const { begun, ask, end } = givenAuth({ authAtOnce: undefined });
  for (let n = 0; n < 9; n += 1) ask(`/o${n}`, `192.0.2.${n}`);
  await iterations();
  assert.equal(begun.length, 8);

  for (let n = 0; n < 9; n += 1) end(`/o${n}`);
  for (let n = 9; n < 200; n += 1) {
    ask(`/o${n}`, "192.0.2.9");
    await iterations(2);
    end(`/o${n}`);
  }
  assert.equal(begun.filter((url) => Number(url.slice(2)) >= 9).length, 150);
});

for (const [peer, forwarded, client] of [
  ["192.0.2.1", undefined, "192.0.2.1"],
  ["192.0.2.1", "203.0.113.9", "192.0.2.1"], // the peer is none of our proxies
  ["10.0.0.1", undefined, "10.0.0.1"],
  ["10.0.0.1", "203.0.113.9", "203.0.113.9"],
  ["10.0.0.1", "198.51.100.7, 203.0.113.9", "203.0.113.9"], // the client made up the first
  ["10.0.0.1", "203.0.113.9, 10.2.3.4,,  10.0.0.2 ", "203.0.113.9"],
  ["10.0.0.1", "203.0.113.9, unknown, 10.0.0.2", "10.0.0.2"],
  ["10.0.0.1", "fe80::1%eth0", "10.0.0.1"],
  ["10.0.0.1", ",".repeat(9_000), "10.0.0.1"],
  ["10.0.0.1", "2001:db8::1", "2001:db8::2"],
  ["::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"],
] as const)
  test(`a request from ${peer} with X-Forwarded-For ${forwarded?.slice(0, 60)} counts for the network of ${client}`, () => {
    const read = clientReader(["10.0.0.0/8"]);
    const headers = forwarded === undefined ? {} : { "x-forwarded-for": forwarded };

    const address = read({ socket: { remoteAddress: peer }, headers } as unknown as IncomingMessage);

    assert.equal(address, clientReader([])({ socket: { remoteAddress: client }, headers: {} } as IncomingMessage));
  });
