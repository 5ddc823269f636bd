/** What the counts of `rate-limiter.ts` allow, and how many there can be. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { RateLimiter } from "../rate-limiter.ts";

const TWICE = { max: 2, window: 10 };

function given(keysMax?: number) {
  const time = { now: 0 };
  const limiter = new RateLimiter({ clock: () => time.now, ...(keysMax === undefined ? {} : { keysMax }) });
  return { limiter, time };
}

test("a key can be used as often as its quota says, and again after its window", () => {
  const { limiter, time } = given();

  assert.deepEqual([limiter.take("a", TWICE), limiter.take("a", TWICE), limiter.take("b", TWICE)], [0, 0, 0]);
  time.now = 2_500;
  assert.equal(limiter.take("a", TWICE), 8);
  time.now = 10_000;
  assert.equal(limiter.take("a", TWICE), 0);
});

test("a refused use does not lengthen the wait", () => {
  const { limiter, time } = given();
  for (let n = 0; n < 100; n += 1) limiter.take("a", TWICE);

  time.now = 10_000;

  assert.equal(limiter.take("a", TWICE), 0);
});

test("a use that is given back can be used again, and only once", () => {
  const { limiter } = given();
  limiter.take("a", TWICE);

  for (let n = 0; n < 5; n += 1) limiter.giveBack("a");
  limiter.giveBack("unknown");

  assert.deepEqual([limiter.take("a", TWICE), limiter.take("a", TWICE)], [0, 0]);
  assert.notEqual(limiter.take("a", TWICE), 0);
});

test("there are never more counts than the limit, and the oldest are dropped first", () => {
  const { limiter } = given(3);
  for (const key of ["a", "a", "b", "b", "c", "c", "d"]) limiter.take(key, TWICE);

  assert.equal(limiter.size, 3);
  assert.notEqual(limiter.take("b", TWICE), 0);
  assert.equal(limiter.take("a", TWICE), 0);
});

test("by default there are at most 50,000 counts", () => {
  const { limiter } = given();
  for (let number = 0; number < 50_001; number += 1) limiter.take(String(number), TWICE);

  assert.equal(limiter.size, 50_000);
});

test("long keys are distinguished, and take no more memory than short ones", () => {
  const { limiter } = given();
  const long = "a".repeat(16_000);
  limiter.take(`${long}1`, TWICE);
  limiter.take(`${long}1`, TWICE);

  assert.equal(limiter.take(`${long}2`, TWICE), 0);
  assert.notEqual(limiter.take(`${long}1`, TWICE), 0);
});
