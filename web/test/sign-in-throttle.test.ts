/** How often one account's password may be guessed, and that guesses of others do not lock out the account's owner. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { TurnQueue } from "../password-turns.ts";
import { given, PASSWORD } from "./better-auth.ts";

type Auth = ReturnType<typeof given>;
type Guess = Parameters<Auth["signIn"]>[1];

/** Signs in with wrong passwords, and returns the statuses of the responses. */
async function guesses(auth: Auth, times: number, guess: (number: number) => Guess): Promise<number[]> {
  const statuses: number[] = [];
  for (let number = 0; number < times; number += 1)
    statuses.push((await auth.signIn("ann@example.com", { password: "wrong", ...guess(number) })).status);
  return statuses;
}

const times = (count: number, status: number): number[] => Array<number>(count).fill(status);

/** Signs Ann up, and returns the cookies of her device. */
async function signUpAnn(auth: Auth): Promise<string> {
  const cookies = (await auth.signUp("ann@example.com")).headers.getSetCookie();
  return cookies.map((cookie) => cookie.split(";", 1)[0]).join("; ");
}

test("an address can guess five times at one account and is then refused; another account is not affected", async () => {
  const auth = given({});
  await auth.signUp("ann@example.com");
  await auth.signUp("bob@example.com");

  assert.deepEqual(await guesses(auth, 7, () => ({})), [...times(5, 401), 429, 429]);
  assert.equal((await auth.signIn("ANN@example.com")).status, 429);
  assert.equal((await auth.signIn("bob@example.com")).status, 200);
});

test("many addresses together can guess 20 times, and a known device can still sign in from any of them", async () => {
  const auth = given({});
  const cookie = await signUpAnn(auth);

  const statuses = await guesses(auth, 25, (number) => ({ address: `198.51.100.${number}` }));

  assert.deepEqual(statuses, [...times(20, 401), ...times(5, 429)]);
  assert.equal((await auth.signIn("ann@example.com")).status, 429);
  assert.equal((await auth.signIn("ann@example.com", { cookie, address: "198.51.100.1" })).status, 200);
});

test("a stolen device can guess ten times, and is known for its own account only", async () => {
  const auth = given({});
  const cookie = await signUpAnn(auth);
  await auth.signUp("bob@example.com");

  for (let number = 0; number < 20; number += 1)
    await auth.signIn("bob@example.com", { password: "wrong", address: `198.51.100.${number}` });
  const atBobs = await auth.signIn("bob@example.com", { cookie });
  const statuses = await guesses(auth, 12, (number) => ({ cookie, address: `198.51.100.${number}` }));

  assert.equal(atBobs.status, 429);
  assert.deepEqual(statuses, [...times(10, 401), 429, 429]);
});

test("a forged device cookie is ignored", async () => {
  const auth = given({});
  const cookie = (await signUpAnn(auth)).replace(/(known_device=[^.;]*\.)[^.;]*/, "$1another");

  await guesses(auth, 5, () => ({}));

  assert.equal((await auth.signIn("ann@example.com", { cookie })).status, 429);
});

test("a response other than `wrong password`, such as 503, does not count as a guess", async () => {
  const queue = new TurnQueue(1, 0);
  const auth = given({}, async () => {}, queue);
  await auth.signUp("ann@example.com");
  const end = await queue.take();

  assert.deepEqual(await guesses(auth, 7, () => ({})), times(7, 503));
  end?.();

  assert.deepEqual(await guesses(auth, 6, () => ({})), [...times(5, 401), 429]);
});

test("right passwords do not count", async () => {
  const auth = given({});
  await auth.signUp("ann@example.com");

  assert.deepEqual(await guesses(auth, 30, () => ({ password: PASSWORD })), times(30, 200));
});
