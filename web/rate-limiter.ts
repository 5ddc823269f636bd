/** Counts the uses of quotas in the memory of this process, with a limit on the number of counts. */

import { createHash } from "node:crypto";

export interface Quota {
  readonly max: number;
  readonly window: number; // seconds, from the first use on
}

interface Count {
  used: number;
  readonly ends: number; // milliseconds of the clock
}

const KEYS_MAX = 50_000;

export class RateLimiter {
  /** In the order in which their windows began. */
  readonly #counts = new Map<string, Count>();
  readonly #clock: () => number;
  readonly #keysMax: number;

  constructor({ clock = () => performance.now(), keysMax = KEYS_MAX } = {}) {
    this.#clock = clock;
    this.#keysMax = keysMax;
  }

  /** Uses the quota of a key once. Returns 0, or the seconds until the quota is free again. */
  take(key: string, quota: Quota): number {
    const short = shorten(key);
    const now = this.#clock();
    const known = this.#counts.get(short);
    if (known && now < known.ends) {
      if (known.used >= quota.max) return Math.ceil((known.ends - now) / 1000);
      known.used += 1;
      return 0;
    }
    this.#counts.delete(short);
    this.#makeRoom();
    this.#counts.set(short, { used: 1, ends: now + quota.window * 1000 });
    return 0;
  }

  /** Gives back what `take` used. */
  giveBack(key: string): void {
    const known = this.#counts.get(shorten(key));
    if (known && known.used > 0) known.used -= 1;
  }

  get size(): number {
    return this.#counts.size;
  }

  /** Removes the oldest counts if there are too many. */
  #makeRoom(): void {
    for (const key of this.#counts.keys()) {
      if (this.#counts.size < this.#keysMax) return;
      this.#counts.delete(key);
    }
  }
}

/** Shortens a key to at most 64 characters, so a client cannot choose how much memory a count takes. */
function shorten(key: string): string {
  return key.length <= 64 ? key : createHash("sha256").update(key).digest("base64");
}
