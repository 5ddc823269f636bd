/** Which connections `connections.ts` ends. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { boundConnections, boundPipelines, networkOf } from "../connections.ts";

const SILENCE = 2_000; // milliseconds
const LARGE = Buffer.alloc(32 * 1024 * 1024); // more than the kernel holds for a reader

/** Sends a request on a connection that reads nothing yet. Returns both ends of the connection. */
async function sendRequest(server: Server): Promise<[client: Socket, served: Socket]> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1").pause();
  client.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const [served] = (await once(server, "connection")) as [Socket];
  return [client, served];
}

const given = (silence?: number): Server => {
  const server = createServer((_, response) => response.end(LARGE));
  boundConnections(server, [], silence === undefined ? {} : { silence });
  return server;
};

test("a connection whose response nobody reads is closed, and a slow reader gets the whole response", {
  timeout: 30_000,
}, async () => {
  const servers = [given(SILENCE), given(SILENCE)] as const;
  const began = performance.now();
  const [client, served] = await sendRequest(servers[0]);
  const [reader] = await sendRequest(servers[1]);
  let taken = 0;
  const reading = (async () => {
    for await (const chunk of reader) {
      const quartersBefore = Math.floor((taken / LARGE.length) * 4);
      taken += chunk.length;
      if (Math.floor((taken / LARGE.length) * 4) > quartersBefore) await pause(SILENCE * 0.3);
    }
  })();

  await once(served, "close");
  const ended = performance.now() - began;
  await reading;

  assert.ok(ended >= SILENCE);
  assert.ok(taken > LARGE.length);
  assert.ok(performance.now() - began > SILENCE); // the reader took longer than a connection may be silent
  client.destroy();
  for (const server of servers) server.close();
});

test("only a few requests of a connection that reads no response are begun", async () => {
  let begun = 0;
  const listener = boundPipelines((_, response) => {
    begun += 1;
    response.write(LARGE);
  });
  const server = createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1").pause();
  client.on("error", () => undefined); // the server resets it
  client.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200));
  const [served] = (await once(server, "connection")) as [Socket];
  await once(served, "close");

  assert.equal(begun, 4);
  client.destroy();
  server.close();
});

test("by default a connection may be silent for 30 seconds", () => {
  assert.equal(given().timeout, 30_000);
});

/** Opens a connection for each text, one after the other. A connection sends its text, unless that is empty. */
async function openConnections(server: Server, sends: readonly string[]): Promise<Socket[]> {
  if (!server.listening) await once(server.listen(0, "127.0.0.1"), "listening");
  const clients: Socket[] = [];
  for (const text of sends) {
    const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
    clients.push(client);
    await Promise.all([once(server, "connection"), once(client, "connect")]);
    if (!text) continue;
    client.write(text);
    if (text.includes("\r\n\r\n")) await once(server, "request");
  }
  return clients;
}

const HALF_A_BODY = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{";
const WHOLE = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

test("for each connection beyond the limit, the one that has waited longest for a whole request is closed", {
  timeout: 30_000,
}, async () => {
  const server = createServer(() => {}); // answers none
  boundConnections(server, [], { connectionsMax: 4 });
  const [asking, half, silent, head, another] = (await openConnections(server, [
    WHOLE,
    HALF_A_BODY,
    "",
    "GET /",
    WHOLE,
  ])) as [Socket, Socket, Socket, Socket, Socket];
  await once(half.resume(), "close");

  const [third] = (await openConnections(server, [""])) as [Socket];
  await once(silent.resume(), "close");
  const rest = await openConnections(server, ["", ""]);
  await Promise.all([head, third].map((socket) => once(socket.resume(), "close")));

  assert.deepEqual(
    [asking, another, ...rest].map(({ destroyed }) => destroyed),
    [false, false, false, false],
  );
  for (const socket of [asking, another, ...rest]) socket.destroy();
  server.close();
});

test("if all connections wait for their responses, the one that has waited longest is closed", {
  timeout: 30_000,
}, async () => {
  const server = createServer(() => {});
  boundConnections(server, [], { connectionsMax: 2 });
  const [first, second, third] = (await openConnections(server, [WHOLE, WHOLE, WHOLE])) as [Socket, Socket, Socket];

  await once(first.resume(), "close");

  assert.deepEqual([second.destroyed, third.destroyed], [false, false]);
  for (const socket of [second, third]) socket.destroy();
  server.close();
});

test("IPv6 addresses with the same first 64 bits are one network, and each IPv4 address is one, in either form", () => {
  assert.equal(networkOf("2001:db8::1"), networkOf("2001:db8::ffff:0:0:2"));
  assert.notEqual(networkOf("2001:db8::1"), networkOf("2001:db8:0:1::1"));
  assert.equal(networkOf("fe80::1%eth0"), networkOf("fe80::2"));
  assert.notEqual(networkOf("::ffff:192.0.2.1"), networkOf("::ffff:192.0.2.2"));
  assert.notEqual(networkOf("192.0.2.1"), networkOf("192.0.2.2"));
});

test("a server that stops finishes its running request, and closes silent and idle connections at once", {
  timeout: 10_000,
}, async () => {
  const responses: ServerResponse[] = [];
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    if (request.url === "/slow") responses.push(response);
    else response.end();
  });
  const stop = boundConnections(server, [], { stopTimeout: 60_000 });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const open = () => connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [silent, idle, running] = [open(), open(), open()];
  idle.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  running.write("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await Promise.all([once(silent, "connect"), once(idle, "data")]);
  while (responses.length === 0) await pause(1);
  const closed = [silent, idle].map((socket) => once(socket.resume(), "close"));

  const stopped = stop();
  await Promise.all(closed);
  responses[0]?.end("all of it");
  let got = "";
  for await (const chunk of running) got += String(chunk);
  await stopped;

  assert.match(got, /^HTTP\/1\.1 200 OK/);
  assert.ok(got.includes("all of it"));
});

test("a server that stops cuts off a request that does not end", { timeout: 10_000 }, async () => {
  const server = createServer(() => undefined);
  const stop = boundConnections(server, [], { stopTimeout: 100 });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await once(server, "request");

  await stop();

  assert.equal(server.listening, false);
});
