/** The order in which requests hash a password: the common queue, the priority queue, and their limits. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import { setImmediate as settle } from "node:timers/promises";
import { serve as listen } from "@hono/node-server";
import { TurnQueue } from "../password-turns.ts";
import { withPlace } from "../request-end.ts";
import { createApp } from "../serve.ts";
import { given, SETTINGS } from "./better-auth.ts";

test("requests up to the limit begin at once, the others in order; to end a turn twice frees one place", async () => {
  const queue = new TurnQueue(2, 10);
  const began: string[] = [];
  const ends = await Promise.all([queue.take(), queue.take()]);
  for (const name of ["third", "fourth"]) void queue.take().then(() => began.push(name));

  ends[0]?.();
  ends[0]?.();
  await settle();

  assert.deepEqual(began, ["third"]);
});

test("a request with an account (from a known device) goes first, but an account has at most two places in the priority queue", async () => {
  const queue = new TurnQueue(1, 10);
  const began: string[] = [];
  const wait = (name: string, account?: string) =>
    void queue.take(account).then((end) => {
      began.push(name);
      end?.();
    });
  const end = await queue.take();
  wait("stranger");
  for (const name of ["ann 1", "ann 2", "ann 3"]) wait(name, "ann");
  wait("bob", "bob");

  end?.();
  await settle();

  assert.deepEqual(began, ["ann 1", "ann 2", "bob", "stranger", "ann 3"]);
});

test("if both queues are full, a request is refused", async () => {
  const queue = new TurnQueue(1, 2);
  await queue.take();
  for (const account of [null, null, "ann", "bob"]) void queue.take(account);

  assert.equal(await queue.take(), null);
  assert.equal(await queue.take("carol"), null);
});

test("an account may use the priority queue three times in a minute, and then waits with all others", async () => {
  let now = 0;
  const queue = new TurnQueue(1, 10, { clock: () => now });
  const began: string[] = [];
  const wait = (name: string, account?: string, signal?: AbortSignal) =>
    void queue.take(account, signal).then((end) => {
      if (end) began.push(name);
      end?.();
    });
  const during = async (requests: () => void): Promise<string[]> => {
    const end = await queue.take();
    requests();
    end?.();
    await settle();
    return began.splice(0);
  };
  const client = new AbortController();

  const first = await during(() => {
    wait("stranger");
    wait("ann 1", "ann", client.signal);
    wait("ann 2", "ann");
    client.abort();
    wait("ann 3", "ann");
  });
  now = 59_999;
  const fourth = await during(() => {
    wait("stranger");
    wait("ann 4", "ann");
  });
  now = 60_000;
  const afterAMinute = await during(() => {
    wait("stranger");
    wait("ann 5", "ann");
  });

  assert.deepEqual(first, ["ann 2", "ann 3", "stranger"]);
  assert.deepEqual(fourth, ["stranger", "ann 4"]);
  assert.deepEqual(afterAMinute, ["ann 5", "stranger"]);
});

test("in a full priority queue, a request replaces that of the account with the most recent use, if its own account's use is older", async () => {
  let now = 0;
  const queue = new TurnQueue(1, 2, { clock: () => now });
  const began: string[] = [];
  const refused: string[] = [];
  const wait = (account: string | null) =>
    void queue.take(account).then((end) => {
      (end ? began : refused).push(account ?? "stranger");
      end?.();
    });
  let end = await queue.take();
  now = 1;
  wait("old");
  now = 2;
  wait("new");
  end?.();
  await settle();
  began.length = 0;

  now = 3;
  end = await queue.take();
  for (const account of [null, "new", "old", "owner", "other"]) wait(account);
  wait("old");
  end?.();
  await settle();

  assert.deepEqual(began, ["owner", "other", "stranger", "new"]);
  assert.deepEqual(refused, ["old", "old"]); // `other` replaced the first, and the common queue was full; the second found both queues full
});

for (const [before, last] of [
  [
    ["ann", "ann", "ann", "bob", "carol"],
    ["ann", "stranger"],
  ],
  [
    ["ann", "bob", "ann", "ann", "carol"],
    ["stranger", "ann"],
  ],
] as const) {
  test(`if the uses of only two accounts are remembered, after ${before.join(", ")} the order is ${last.join(", ")}`, async () => {
    const queue = new TurnQueue(1, 10, { accountsMax: 2 });
    let began: string[] = [];
    for (const account of [...before, "ann"]) {
      began = [];
      const end = await queue.take();
      for (const name of ["stranger", account])
        void queue.take(name === "stranger" ? null : name).then((end) => {
          began.push(name);
          end?.();
        });
      end?.();
      await settle();
    }

    assert.deepEqual(began, last); // the account with the oldest use of the priority queue is forgotten
  });
}

test("a turn that has ended is free for the next", async () => {
  const queue = new TurnQueue(1, 0);
  (await queue.take())?.();

  assert.notEqual(await queue.take(), null);
  assert.equal(await queue.take(), null);
});

test("a request whose client has disconnected leaves the queue", { timeout: 20_000 }, async () => {
  const queue = new TurnQueue(1, 1);
  const { auth } = given({}, async () => {}, queue);
  const end = await queue.take();
  const server = listen({ fetch: createApp(SETTINGS, auth).fetch, port: 0, hostname: "127.0.0.1" });
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const body = JSON.stringify({ email: "ann@example.com", password: "wrong password" });
  client.write(
    "POST /api/auth/sign-in/email HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
      `Origin: ${SETTINGS.baseUrl}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  while (queue.waiting === 0) await settle();

  client.destroy();
  while (queue.waiting > 0) await settle();

  const next = queue.take();
  end?.();
  assert.notEqual(await next, null);
  assert.equal(await queue.take(null, AbortSignal.abort()), null);
  server.close();
});

test("a request that waits for its turn does not count in the limit of address-limits.ts", async () => {
  const queue = new TurnQueue(1, 1);
  const { signIn } = given({}, async () => {}, queue);
  const end = await queue.take();
  let left = 0;
  let answer: Promise<Response> | undefined;

  withPlace(
    () => {
      left += 1;
    },
    () => {
      answer = signIn("ann@example.com");
    },
  );
  while (queue.waiting === 0) await settle();

  assert.equal(left, 1);
  end?.();
  assert.equal((await answer)?.status, 401);
});
