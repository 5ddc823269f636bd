/** Sign-up, if e-mail addresses must be verified: its responses, their times, and its mails. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as settle } from "node:timers/promises";
import type { Mail } from "../mail.ts";
import { withPlace } from "../request-end.ts";
import { createApp, restOfStep } from "../serve.ts";
import { given, SETTINGS } from "./better-auth.ts";

test("sign-up gives the same response for a known e-mail address, and does not wait for the mail", async () => {
  const mails: Mail[] = [];
  const auth = given({ verifyEmail: true }, (mail) => {
    mails.push(mail);
    return new Promise(() => {}); // a mail service that never answers
  });

  const [first, again] = [await auth.signUp("ann@example.com"), await auth.signUp("Ann@example.com")];
  const [made, known] = [await first.json(), await again.json()];

  assert.deepEqual([first.status, again.status], [200, 200]);
  assert.deepEqual([made.token, known.token], [null, null]);
  assert.deepEqual(
    mails.map(({ to, subject }) => [to, subject]),
    [
      ["ann@example.com", "Confirm your e-mail address"],
      ["ann@example.com", "You have an account already"],
    ],
  );
});

test("a failing mail service does not make the sign-up fail", async () => {
  const auth = given({ verifyEmail: true }, () => Promise.reject(new Error("no route to host")));

  assert.equal((await auth.signUp("ann@example.com")).status, 200);
});

test("an e-mail address gets five mails of a kind in an hour, and each address counts separately", async () => {
  const mails: Mail[] = [];
  const auth = given({ verifyEmail: true }, async (mail) => void mails.push(mail));

  for (let number = 0; number < 9; number += 1) await auth.signUp("ann@example.com");
  await auth.sendVerification("ANN@example.com");
  await auth.signUp("bob@example.com");

  assert.deepEqual(
    mails.map(({ to, subject }) => `${to}: ${subject}`),
    [
      "ann@example.com: Confirm your e-mail address",
      ...Array<string>(5).fill("ann@example.com: You have an account already"),
      "ann@example.com: Confirm your e-mail address", // mails of the other kind do not count
      "bob@example.com: Confirm your e-mail address",
    ],
  );
});

test("if a stranger used up a person's mails, the last link works until the next mail is allowed", async ({ mock }) => {
  mock.timers.enable({ apis: ["Date"], now: Date.now() });
  const links: string[] = [];
  const auth = given({ verifyEmail: true }, async ({ text }) => void links.push(text.split("\n")[1] ?? ""));
  await auth.signUp("ann@example.com");
  for (let number = 0; number < 9; number += 1) await auth.sendVerification("ann@example.com");

  mock.timers.tick(59 * 60 * 1000);
  const opened = await auth.open(links.at(-1) ?? "");

  assert.equal(links.length, 5);
  assert.equal(opened.status, 302);
  assert.equal((await auth.signIn("ann@example.com")).status, 200);
});

test("a response is delayed until the time since its request is a multiple of 500 ms", () => {
  const answered = [0, 100, 499, 500, 730].map((elapsed) => elapsed + restOfStep(elapsed));

  assert.deepEqual(answered, [500, 500, 500, 1000, 1000]);
});

for (const verifyEmail of [true, false])
  test(`if addresses are ${verifyEmail ? "" : "not "}verified, the response to a sign-up is ${verifyEmail ? "" : "not "}delayed`, async ({
    mock,
  }) => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const auth = { handler: async () => new Response("{}"), options: {} };
    const app = createApp({ ...SETTINGS, verifyEmail }, auth);
    const client = { incoming: { socket: { remoteAddress: "192.0.2.1" } } };
    let isAnswered = false;
    let hasLeftItsPlace = false;
    let answer: Promise<Response> | undefined;

    withPlace(
      () => {
        hasLeftItsPlace = true;
      },
      () => {
        answer = Promise.resolve(app.request("/api/auth/sign-up/email", { method: "POST" }, client)).finally(() => {
          isAnswered = true;
        });
      },
    );
    for (let turn = 0; turn < 100; turn += 1) await settle();
    const atOnce = isAnswered;
    mock.timers.tick(500);

    assert.equal((await answer)?.status, 200);
    assert.equal(atOnce, !verifyEmail);
    assert.equal(hasLeftItsPlace, verifyEmail);
  });
