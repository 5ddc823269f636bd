/** What the counts of `lasting-counts.ts` allow, and that no number of keys makes them forget. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { LastingCounts } from "../lasting-counts.ts";

const TWICE = { max: 2, window: 10 };
const KEYS = 100_000;

function given(quota = TWICE, more: { secret?: Uint8Array; places?: number } = {}) {
  const time = { now: 0 };
  return { counts: new LastingCounts(quota, { clock: () => time.now, secret: new Uint8Array(32), ...more }), time };
}

test("a key can be used as often as its quota says, and again after its window", () => {
  const { counts, time } = given();

  assert.deepEqual([counts.take("a"), counts.take("a"), counts.take("b")], [0, 0, 0]);
  time.now = 2_500;
  assert.equal(counts.take("a"), 8);
  time.now = 10_000;
  assert.deepEqual([counts.take("a"), counts.take("a"), counts.take("a")], [0, 0, 10]);
});

test("a use that is given back can be used again, and only once", () => {
  const { counts } = given();
  counts.take("a");

  for (let n = 0; n < 5; n += 1) counts.giveBack("a");

  assert.deepEqual([counts.take("a"), counts.take("a"), counts.take("a")], [0, 0, 10]);
});

test("a key whose uses were all given back begins a new window", () => {
  const { counts, time } = given();
  counts.take("a");
  counts.giveBack("a");

  time.now = 9_000;

  assert.deepEqual([counts.take("a"), counts.take("a"), counts.take("a")], [0, 0, 10]);
});

test("given 100,000 made-up keys, a real count stays, and other keys have their quota", () => {
  const { counts } = given({ max: 5, window: 10 });
  for (let n = 0; n < 5; n += 1) counts.take("ann");

  for (let n = 0; n < KEYS; n += 1) counts.take(`made up ${n}`);
  const others = Array.from({ length: 1_000 }, (_, n) => counts.take(`person ${n}`));

  assert.equal(counts.take("ann"), 10);
  assert.deepEqual(new Set(others), new Set([0]));
});

test("the secret decides which keys share a place", () => {
  const once = { max: 1, window: 10 };
  const shared = (counts: LastingCounts) => {
    counts.take("a");
    return Array.from({ length: 64 }, (_, n) => counts.take(`${n}`) > 0).join();
  };

  assert.notEqual(shared(new LastingCounts(once, { places: 64 })), shared(new LastingCounts(once, { places: 64 })));
});
