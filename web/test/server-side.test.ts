/** Outside a page no call waits for a sign-in, no request leaves anything for the next one, and no visitor gets the data of another visitor. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type AuthServer, apiFor, createTaskward, isProblem, isSignedOut } from "../lib";
import { browser, tasksByOwner } from "./people";
import { tokenOf } from "./tokens";

const BASE = "https://tasks.example.com";
const hasType = (type: string) => (error: unknown) => isProblem(error) && error.type === type;
const silent = () => new Promise<never>(() => undefined);

/** Better Auth in the server's process. The cookie of a request is the user id. */
const auth: AuthServer = {
  api: {
    getToken: async ({ headers }) => {
      const user = headers.get("cookie");
      if (!user) throw Object.assign(new Error("UNAUTHORIZED"), { statusCode: 401 });
      return { token: tokenOf(user) };
    },
  },
};
const requestOf = (user: string) => new Request("https://app.example.com/", { headers: user ? { cookie: user } : {} });

test("a page that is rendered on a server gets 401 at once, a hundred times, and sends no request", async () => {
  const requests: unknown[] = [];
  const heard: string[] = [];
  const { api, session } = createTaskward({
    auth: browser().page(),
    baseUrl: BASE,
    whenSignedOut: "wait",
    onSignedOut: (how) => heard.push(how),
    fetch: async (input) => {
      requests.push(input);
      return Response.json([]);
    },
  });

  for (let visit = 0; visit < 100; visit += 1) await assert.rejects(api.list(), isSignedOut);

  assert.deepEqual([requests, heard, session.user], [[], [], null]);
});

test("a token function that is given to `createTaskward` runs for each call, so that no visitor gets another visitor's token", async () => {
  const users = ["ann", "bob", null];
  const { owners, send } = tasksByOwner();
  const getToken = async () => {
    const user = users.shift();
    return user ? tokenOf(user) : null;
  };
  const { api } = createTaskward({ auth: getToken, baseUrl: BASE, fetch: send });

  await api.create({ title: "Ann's" });
  await api.create({ title: "Bob's" });
  await assert.rejects(api.create({ title: "nobody's" }), isSignedOut);

  assert.deepEqual(owners, { ann: ["Ann's"], bob: ["Bob's"] });
});

test("each request on a server is sent as its own visitor", async () => {
  const { owners, send } = tasksByOwner();
  const options = { auth, baseUrl: BASE, fetch: send };

  await Promise.all([
    apiFor(requestOf("ann"), options).create({ title: "Ann's" }),
    apiFor(requestOf("bob").headers, options).create({ title: "Bob's" }),
    assert.rejects(apiFor(requestOf(""), options).create({ title: "nobody's" }), isSignedOut),
  ]);

  assert.deepEqual(owners, { ann: ["Ann's"], bob: ["Bob's"] });
});

test("one request on a server fetches one token", async () => {
  let fetched = 0;
  const counting: AuthServer = {
    api: {
      getToken: (context) => {
        fetched += 1;
        return auth.api.getToken(context);
      },
    },
  };
  const api = apiFor(requestOf("ann"), { auth: counting, baseUrl: BASE, fetch: async () => Response.json([]) });

  await Promise.all([api.list(), api.list()]);
  await api.list();

  assert.equal(fetched, 1);
});

test("the server gets the reason when the API refuses its token", async () => {
  const refused = async () => Response.json({ detail: "The token is not valid here" }, { status: 401 });
  const api = apiFor(requestOf("ann"), { auth, baseUrl: BASE, fetch: refused });

  const problem = await api.list().catch((error: unknown) => error);

  assert.ok(isSignedOut(problem));
  assert.equal((problem.cause as Error).message, "The token is not valid here");
});

test("Better Auth at another URL gets the visitor's cookie and no other header", async () => {
  const requests: [string, Record<string, string>][] = [];
  const token = tokenOf("ann");
  const request = new Request("https://app.example.com/", { headers: { cookie: "session=x", "x-other": "y" } });
  const api = apiFor(request, {
    auth: "https://auth.example.com/api/auth/",
    baseUrl: BASE,
    fetch: async (input, init) => {
      requests.push([String(input), Object.fromEntries(new Headers(init?.headers))]);
      return requests.length === 1 ? Response.json({ token }) : Response.json([]);
    },
  });

  await api.list();

  assert.deepEqual(requests[0], ["https://auth.example.com/api/auth/token", { cookie: "session=x" }]);
  assert.equal(requests[1]?.[1]["authorization"], `Bearer ${token}`);
});

test("the client works in Cloudflare Workers, whose `fetch` cannot make a redirect an error", async () => {
  const worker: typeof fetch = async (_, { redirect = "follow" } = {}) => {
    if (!["follow", "manual"].includes(redirect)) throw new TypeError("Invalid redirect value");
    return Response.json({ token: tokenOf("ann"), id: "1" });
  };
  const options = { auth: "https://auth.example.com/api/auth", baseUrl: BASE, fetch: worker };

  const { id } = await apiFor(requestOf("ann"), options).get("1");

  assert.equal(id, "1");
});

test("a failing database of Better Auth does not count as the end of a session", async () => {
  const failing: AuthServer = { api: { getToken: () => Promise.reject(new Error("ECONNREFUSED")) } };
  const api = apiFor(requestOf("ann"), { auth: failing, baseUrl: BASE, fetch: silent });

  await assert.rejects(api.list(), hasType("sign-in-unavailable"));
});

for (const baseUrl of [
  undefined,
  "",
  "/tasks",
  "localhost:8000",
  "tasks.example.com",
  "ftp://tasks.example.com",
  "http://",
])
  test(`the address ${baseUrl} of the API is reported as a developer's mistake, not as a lost connection`, async () => {
    const options = { baseUrl: baseUrl as string };
    const apis = [
      apiFor(requestOf("ann"), { auth, ...options }),
      createTaskward({ auth: async () => tokenOf("ann"), ...options }).api,
    ];
    const began = performance.now();

    for (const api of apis)
      await assert.rejects(api.list(), (error: Error) => {
        const shown = baseUrl === undefined ? "undefined" : JSON.stringify(baseUrl);
        assert.equal(
          error.message,
          `\`baseUrl\` is ${shown}: set it to an address that begins with http:// or https://`,
        );
        return error instanceof TypeError && !isProblem(error);
      });

    assert.ok(performance.now() - began < 400);
  });

test("a page that is rendered on a server gets 401 even if `baseUrl` is a path", async () => {
  const { api } = createTaskward({ auth: browser().page(), baseUrl: "" });

  await assert.rejects(api.list(), isSignedOut);
});

test("with your own `fetch`, `baseUrl` may be a path", async () => {
  const api = apiFor(requestOf("ann"), { auth, baseUrl: "/tasks", fetch: async () => Response.json([]) });

  assert.deepEqual((await api.list()).tasks, []);
});

for (const address of [undefined, "localhost:3000/api/auth"])
  test(`the address ${address} of Better Auth is reported as a developer's mistake too`, async () => {
    const api = apiFor(requestOf("ann"), { auth: address as string, baseUrl: BASE });

    await assert.rejects(api.list(), { name: "TypeError", message: /^`auth` is .*https:\/\/$/ });
  });

test("if `auth` is not the URL of Better Auth, the error's cause names the URL and the status", async () => {
  const options = { auth: "https://app.example.com", baseUrl: BASE };
  const api = apiFor(requestOf("ann"), { ...options, fetch: async () => new Response("<html>", { status: 404 }) });

  await assert.rejects(api.list(), ({ type, cause }: { type: string; cause: Error }) => {
    assert.match(cause.message, /^https:\/\/app\.example\.com is not the address of Better Auth.* status 404$/);
    return type === "sign-in-unavailable";
  });
});

for (const [status, message] of [
  [404, "http://localhost:3000/token answered 404: is /api/auth missing in `auth`?"],
  [200, "http://localhost:3000/token answered 200 without a token: is /api/auth missing in `auth`?"],
  [500, "The sign-in service does not answer as it should: try again."],
] as const)
  test(`given \`auth\` without /api/auth, when a page answers ${status}, then the message is "${message}"`, async () => {
    const options = { auth: "http://localhost:3000", baseUrl: BASE };
    const api = apiFor(requestOf("ann"), { ...options, fetch: async () => new Response("<html>", { status }) });

    await assert.rejects(api.list(), { type: "sign-in-unavailable", status, message });
  });

test("a call to an API that does not respond, or stops in the middle of a response, ends in time", async () => {
  const half = new TextEncoder().encode("[");
  const midway = async () => new Response(new ReadableStream({ start: (stream) => stream.enqueue(half) }));
  for (const fetch of [silent, midway]) {
    const began = performance.now();
    const api = apiFor(requestOf("ann"), { auth, baseUrl: BASE, timeout: 200, fetch });

    await assert.rejects(api.list(), hasType("timeout"));

    assert.ok(performance.now() - began < 5_000);
  }
});
