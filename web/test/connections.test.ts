/** When `connections.ts` ends a connection on which nothing moves. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { boundConnections } from "../connections.ts";

const SILENCE = 2_000; // milliseconds
const LARGE = Buffer.alloc(32 * 1024 * 1024); // more than the kernel holds for a reader

/** A client of a server with a large answer, and the connection as the server has it. */
async function requested(server: Server): Promise<[client: Socket, served: Socket]> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1").pause();
  client.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const [served] = (await once(server, "connection")) as [Socket];
  return [client, served];
}

const given = (silence?: number): Server => {
  const server = createServer((_, response) => response.end(LARGE));
  boundConnections(server, [], silence);
  return server;
};

test("a connection whose answer nobody takes ends, and a slow reader gets the whole answer", {
  timeout: 30_000,
}, async () => {
  const [servers, began] = [[given(SILENCE), given(SILENCE)] as const, performance.now()];
  const [client, served] = await requested(servers[0]);
  const [reader] = await requested(servers[1]);
  let taken = 0;
  const reading = (async () => {
    for await (const chunk of reader) {
      const before = Math.floor((taken / LARGE.length) * 4);
      taken += chunk.length;
      if (Math.floor((taken / LARGE.length) * 4) > before) await pause(SILENCE * 0.3);
    }
  })();

  await once(served, "close");
  const ended = performance.now() - began;
  await reading;

  assert.ok(ended >= SILENCE);
  assert.ok(taken > LARGE.length);
  assert.ok(performance.now() - began > SILENCE); // it read for longer than a connection may be silent
  client.destroy();
  for (const server of servers) server.close();
});

test("without another limit a connection may be silent for 30 seconds", () => {
  assert.equal(given().timeout, 30_000);
});
