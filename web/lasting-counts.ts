/**
 * Counts the uses of one quota in a fixed amount of memory. No count ends early, however many keys a client invents.
 *
 * A hash with a secret assigns each key to one of 262,144 places. Keys in one place share its quota. Two keys are rarely
 * in one place. Wrong passwords are the keys that come fastest: a machine with two cores checks at most 36,000 an hour,
 * which is 0.14 for each place.
 */

import { createHmac, randomBytes } from "node:crypto";
import type { Quota } from "./rate-limiter.ts";

const PLACES = 262_144; // 2.6 MB

export class LastingCounts {
  readonly #quota: Quota;
  readonly #clock: () => number;
  readonly #secret: Uint8Array;
  readonly #used: Uint16Array;
  readonly #ends: Float64Array; // milliseconds of the clock

  constructor(
    quota: Quota,
    {
      clock = () => performance.now(),
      secret = randomBytes(32),
      places = PLACES,
    }: { clock?: () => number; secret?: Uint8Array; places?: number } = {},
  ) {
    this.#quota = quota;
    this.#clock = clock;
    this.#secret = secret;
    this.#used = new Uint16Array(places);
    this.#ends = new Float64Array(places);
  }

  /** Uses the quota of a key once. Returns 0, or the seconds until the quota is free again. */
  take(key: string): number {
    const place = this.#placeOf(key);
    const now = this.#clock();
    const used = now < (this.#ends[place] ?? 0) ? (this.#used[place] ?? 0) : 0;
    if (used >= this.#quota.max) return Math.ceil(((this.#ends[place] ?? 0) - now) / 1000);
    if (used === 0) this.#ends[place] = now + this.#quota.window * 1000;
    this.#used[place] = used + 1;
    return 0;
  }

  /** Gives back what `take` used. */
  giveBack(key: string): void {
    const place = this.#placeOf(key);
    this.#used[place] = Math.max(0, (this.#used[place] ?? 0) - 1);
  }

  #placeOf(key: string): number {
    return createHmac("sha256", this.#secret).update(key).digest().readUInt32LE() % this.#used.length;
  }
}
