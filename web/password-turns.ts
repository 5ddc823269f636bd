/**
 * How many requests hash a password at once, of all people together.
 *
 * A hash takes 0.1 s of a core, and sign-up holds a database connection meanwhile. So such requests take turns, before
 * they touch the database: half of the cores work for them, and the rest answers people who have a session. The line
 * is bounded. A device on which the account has signed in before (`sign-in-throttle.ts`) has a line of its own, which
 * goes first: a flood from many addresses does not keep owners out.
 */

import { availableParallelism } from "node:os";
import type { BetterAuthPlugin } from "better-auth";
import { APIError, createAuthMiddleware } from "better-auth/api";
import { atEnd } from "./request-end.ts";
import { accountOf, type Context, knownDevice } from "./sign-in-throttle.ts";

/** Where a password is hashed. */
export const HASHING_PATHS: readonly string[] = [
  "/sign-in/email",
  "/sign-up/email",
  "/change-password",
  "/delete-user",
  "/reset-password",
  "/verify-password",
];
const AT_ONCE = Math.max(1, Math.floor(availableParallelism() / 2));
const WAITING_MAX = 20 * AT_ONCE; // about two seconds, in each of the two lines
const FIRST_MAX = 2; // of one account in the line that goes first; its next ones wait with all others
const RETRY_AFTER = 2; // seconds

interface Waiting {
  readonly account: string | null;
  readonly begin: () => void;
}

export class TurnQueue {
  #running = 0;
  readonly #first: Waiting[] = [];
  readonly #rest: Waiting[] = [];
  readonly #atOnce: number;
  readonly #waitingMax: number;

  constructor(atOnce: number, waitingMax: number) {
    this.#atOnce = atOnce;
    this.#waitingMax = waitingMax;
  }

  /**
   * Resolves when it is this one's turn, to the function that ends the turn; `null`: the line is full.
   * `account` names the account of a known device, which goes first. Where `signal` aborts, the place is given up.
   */
  async take(account: string | null = null, signal?: AbortSignal): Promise<(() => void) | null> {
    if (signal?.aborted) return null;
    if (this.#running < this.#atOnce) {
      this.#running += 1;
      return this.#end();
    }
    const isFirst = account !== null && this.#first.filter((other) => other.account === account).length < FIRST_MAX;
    const line = isFirst ? this.#first : this.#rest;
    if (line.length >= this.#waitingMax) return null;
    const isMyTurn = await new Promise<boolean>((resolve) => {
      const waiting = { account, begin: () => resolve(true) };
      line.push(waiting);
      signal?.addEventListener("abort", () => {
        const place = line.indexOf(waiting);
        if (place !== -1) line.splice(place, 1);
        resolve(false);
      });
    });
    return isMyTurn ? this.#end() : null;
  }

  get waiting(): number {
    return this.#first.length + this.#rest.length;
  }

  /** Passes the turn on, once. */
  #end(): () => void {
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      const next = this.#first.shift() ?? this.#rest.shift();
      if (next) next.begin();
      else this.#running -= 1;
    };
  }
}

/** After all limits, so that a request that is refused anyway takes no turn. */
export function passwordTurns(queue = new TurnQueue(AT_ONCE, WAITING_MAX)): BetterAuthPlugin {
  async function takeTurn(ctx: Context): Promise<void> {
    if (!ctx.request) return;
    const account = accountOf(ctx.body?.email);
    const isKnown = account !== null && (await knownDevice(ctx, account)) !== null;
    const end = await queue.take(isKnown ? account : null, ctx.request.signal);
    if (end === null)
      throw new APIError(
        "SERVICE_UNAVAILABLE",
        { message: "Too many people sign in at once. Try again in a moment.", code: "TOO_BUSY" },
        { "Retry-After": String(RETRY_AFTER) },
      );
    atEnd(end);
  }

  return {
    id: "password-turns",
    hooks: {
      before: [
        {
          matcher: ({ path }) => path !== undefined && HASHING_PATHS.includes(path),
          handler: createAuthMiddleware(takeTurn),
        },
      ],
    },
  };
}
