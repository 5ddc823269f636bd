/** Waits for a fact that no event announces. */

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

/** Waits until a condition holds, for five seconds at most. */
export async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries += 1) {
    if (tries === 1_000) assert.fail(`not within five seconds: ${holds}`);
    await pause(5);
  }
}
