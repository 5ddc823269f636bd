/** The client in an edge runtime, which has the web's APIs and none of Node's. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { EdgeVM } from "@edge-runtime/vm";
import ts from "typescript";
import { tokenOf } from "./tokens";

const TOKEN = tokenOf("ann");

/** Better Auth and the API: two pages with one task each. Without the cookie nobody is signed in. */
const server = createServer((request, response) => {
  const json = (status: number, body: unknown, headers = {}) =>
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
  if (request.url === "/api/auth/token")
    return request.headers.cookie === "session=ann" ? json(200, { token: TOKEN }) : json(401, {});
  if (request.url?.startsWith("/moved")) return json(302, {}, { location: "/api/me/tasks/3" });
  if (request.headers.authorization !== `Bearer ${TOKEN}`) return json(401, {});
  if (request.method === "POST") return json(201, { id: "3", title: "Created" });
  if (request.url === "/api/me/tasks/missing") return json(404, { type: "/problems/task-not-found", detail: "No" });
  if (request.url?.includes("cursor")) return json(200, [{ id: "2" }]);
  return json(200, [{ id: "1" }], { link: '</api/me/tasks?cursor=next>; rel="next"' });
});
const runtime = new EdgeVM();
const run = <T>(code: string): T => runtime.evaluate<T>(code);

before(async () => {
  const source = readFileSync(join(import.meta.dirname, "..", "lib", "index.ts"), "utf8");
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  run(`
    const client = ((exports) => { ${outputText}; return exports; })({});
    const options = { auth: "${address}/api/auth", baseUrl: "${address}" };
    const apiOf = (cookie) => client.apiFor(new Headers({ cookie }), options);
  `);
});
after(() => server.close());

test("in an edge runtime `apiFor` reads and writes as the visitor of the request", async () => {
  const done = await run<Promise<unknown>>(`(async () => {
    const ids = [];
    for await (const task of apiOf("session=ann").all()) ids.push(task.id);
    return [ids, (await apiOf("session=ann").create({ title: "x" })).title];
  })()`);

  assert.deepEqual(JSON.parse(JSON.stringify(done)), [["1", "2"], "Created"]);
});

test("in an edge runtime a call without a session rejects with a problem that becomes a response", async () => {
  const refused = await run<Promise<string>>(`apiOf("").list().catch((error) => error.type)`);
  const answer = await run<Promise<Response>>(
    `apiOf("session=ann").get("missing").catch((error) => error.toResponse())`,
  );

  assert.deepEqual([refused, answer.status, (await answer.json()).detail], ["signed-out", 404, "No"]);
});

test("in an edge runtime a redirect is not followed: it would send the token elsewhere", async () => {
  const type = await run<Promise<string>>(
    `client.apiFor(new Headers({ cookie: "session=ann" }), { ...options, baseUrl: options.baseUrl + "/moved" })
      .update("3", {}).then(() => "followed", (error) => error.type)`,
  );

  assert.equal(type, "offline");
});

test("in an edge runtime the client for pages caches no token, and calls its token function for each request", async () => {
  const users = await run<Promise<unknown>>(`(async () => {
    const tokens = ["${TOKEN}", null];
    const { api, session } = client.createTaskward({ ...options, auth: async () => tokens.shift() });
    const page = await api.list();
    return [page.tasks.length, session.user, await api.list().catch(({ type }) => type)];
  })()`);

  assert.deepEqual(JSON.parse(JSON.stringify(users)), [1, null, "signed-out"]);
});
