/** How the built page and its files are served. `npm run build` has made them. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import type { Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type HttpBindings, serve } from "@hono/node-server";
import { Hono } from "hono";
import { servePage } from "../serve-page.ts";
import { given } from "./better-auth.ts";

const DESCRIPTORS = "/proc/self/fd"; // Linux
let server: Server;
let url = "";
let script = "";

before(async () => {
  const app = new Hono<{ Bindings: HttpBindings }>();
  servePage(app, { apiUrl: "http://localhost:8000", baseUrl: "http://localhost:3000", verifyEmail: false });
  server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }) as Server;
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const html = await (await fetch(url)).text();
  script = /src="([^"]+)"/.exec(html)?.[1] ?? "";
  assert.match(script, /^\/assets\//);
});
after(() => server.close());

for (const [accepted, encoding] of [
  ["gzip, deflate, br", "br"],
  ["gzip", "gzip"],
  ["br;q=0, gzip;q=0.5", "gzip"],
  ["identity", null],
] as const) {
  test(`a client that accepts ${accepted} gets the script as ${encoding ?? "it is"}`, async () => {
    const response = await fetch(url + script, { headers: { "accept-encoding": accepted } });
    const plain = await (await fetch(url + script, { headers: { "accept-encoding": "identity" } })).text();

    assert.equal(response.headers.get("content-encoding"), encoding);
    assert.equal(await response.text(), plain);
    assert.match(response.headers.get("content-type") ?? "", /javascript/);
    assert.match(response.headers.get("cache-control") ?? "", /immutable/);
    assert.equal(response.headers.get("vary"), "Accept-Encoding");
  });
}

for (const [baseUrl, host, location] of [
  ["http://localhost:3000", "127.0.0.1:3000", "http://localhost:3000/?error=x"],
  ["http://localhost:3000", "[::1]:3000", "http://localhost:3000/?error=x"],
  ["http://localhost:3000", "localhost:3000", null],
  ["http://localhost:3000", "127.0.0.1:4000", null], // a forwarded port: nothing is known to be at the other address
  ["https://app.example.com", "127.0.0.1", null],
] as const) {
  test(`the page of ${baseUrl} that is opened at ${host} leads to ${location ?? "itself"}`, async () => {
    const app = new Hono<{ Bindings: HttpBindings }>();
    servePage(app, { apiUrl: "http://localhost:8000", baseUrl, verifyEmail: false });

    const response = await app.request(`http://${host}/?error=x`, { headers: { host } });

    assert.deepEqual([response.status, response.headers.get("location")], [location ? 302 : 200, location]);
  });
}

test("a URL with a made-up error gets the page, which has a policy and does not show the error", async () => {
  const { open } = given({ baseUrl: url });
  const error = `${url}/api/auth/error?error=CALL&error_description=Call%20the%20attacker`;
  const redirect = await open(error);
  const target = new URL(redirect.headers.get("location") ?? "");
  const page = await fetch(target);

  assert.deepEqual([redirect.status, await redirect.text()], [302, ""]);
  assert.equal(target.origin + target.pathname, `${url}/`);
  assert.match(page.headers.get("content-security-policy") ?? "", /frame-ancestors 'none'/);
  assert.doesNotMatch(await page.text(), /attacker/);
});

test("HEAD of a file is 200, the icon has its media type, and a file that is not there is 404", async () => {
  const head = await fetch(url + script, { method: "HEAD" });
  const icon = await fetch(`${url}/icon.svg`);
  const outside = await fetch(`${url}/assets/..%2findex.html`);

  assert.equal(head.status, 200);
  assert.match(icon.headers.get("content-type") ?? "", /^image\/svg\+xml/);
  assert.equal(outside.status, 404);
  assert.equal((await fetch(`${url}/assets/none.js`)).status, 404);
});

test("clients that disconnect while they read a file leave no file open", async () => {
  const count = () => readdirSync(DESCRIPTORS).length;
  const open = count();
  for (let turn = 0; turn < 100; turn += 1) {
    const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
    client.on("error", () => undefined);
    client.write(`GET ${script} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(2));
    await once(client, "readable");
    client.destroy();
  }
  for (let turn = 0; turn < 100 && count() > open + 5; turn += 1) await pause(100);

  assert.ok(count() <= open + 5, `${count()} after ${open}`);
});
