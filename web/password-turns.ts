/**
 * How many requests hash a password at once, of all people together.
 *
 * A hash takes 0.1 s of a core, and sign-up holds a database connection meanwhile. So such requests take turns, before
 * they touch the database: half of the cores work for them, and the rest answers people who have a session. The line
 * is bounded. A device on which the account has signed in before (`sign-in-throttle.ts`) has a line of its own, which
 * goes first: a flood from many addresses does not keep owners out. A flood may have accounts with known devices too.
 * So few requests of an account go first in a minute, and when that line is full, the account that went first most
 * recently gives its place to one that did so longer ago.
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
const FIRST_IN_MINUTE = 3; // of one account; its next ones wait with all others
const MINUTE = 60_000; // milliseconds
const ACCOUNTS_MAX = 50_000; // whose times are kept; one that is not kept counts as one that never went first
const RETRY_AFTER = 2; // seconds

interface Waiting {
  readonly account: string | null;
  /** When the account's request before this one went into the line that goes first: milliseconds of the clock. */
  readonly previous: number;
  readonly settle: (isMyTurn: boolean) => void;
}

export class TurnQueue {
  #running = 0;
  readonly #first: Waiting[] = [];
  readonly #rest: Waiting[] = [];
  /** When the last requests of each account went into the first line. Accounts are in the order of their last one. */
  readonly #times = new Map<string, readonly number[]>();
  readonly #atOnce: number;
  readonly #waitingMax: number;
  readonly #accountsMax: number;
  readonly #clock: () => number;

  constructor(
    atOnce: number,
    waitingMax: number,
    {
      accountsMax = ACCOUNTS_MAX,
      clock = () => performance.now(),
    }: { accountsMax?: number; clock?: () => number } = {},
  ) {
    this.#atOnce = atOnce;
    this.#waitingMax = waitingMax;
    this.#accountsMax = accountsMax;
    this.#clock = clock;
  }

  /**
   * Resolves when it is this one's turn, to the function that ends the turn; `null`: there is no place for it.
   * `account` names the account of a known device, which goes first. Where `signal` aborts, the place is given up.
   */
  async take(account: string | null = null, signal?: AbortSignal): Promise<(() => void) | null> {
    if (signal?.aborted) return null;
    if (this.#running < this.#atOnce) {
      this.#running += 1;
      return this.#end();
    }
    const isMyTurn = await new Promise<boolean>((resolve) => {
      const previous = this.#timesOf(account).at(-1) ?? Number.NEGATIVE_INFINITY;
      const request = { account, previous, settle: resolve };
      this.#place(request);
      signal?.addEventListener("abort", () => {
        for (const line of [this.#first, this.#rest]) remove(line, request);
        resolve(false);
      });
    });
    return isMyTurn ? this.#end() : null;
  }

  get waiting(): number {
    return this.#first.length + this.#rest.length;
  }

  /** Puts a request into a line. The one that has no place in the first line waits with all others, or is refused. */
  #place(request: Waiting): void {
    const other = this.#placeFirst(request);
    if (other === null) return;
    if (this.#rest.length < this.#waitingMax) this.#rest.push(other);
    else other.settle(false);
  }

  /** Returns the request that has no place in the first line: this one, the one that gave its place to it, or none. */
  #placeFirst(request: Waiting): Waiting | null {
    if (!this.#mayGoFirst(request)) return request;
    const [latest = request] = this.#first.toSorted((a, b) => b.previous - a.previous);
    const isFull = this.#first.length >= this.#waitingMax;
    if (isFull && latest.previous <= request.previous) return request;
    if (isFull) remove(this.#first, latest);
    this.#first.push(request);
    this.#keepTime(request.account);
    return isFull ? latest : null;
  }

  #mayGoFirst({ account }: Waiting): boolean {
    if (account === null) return false;
    const aMinuteAgo = this.#clock() - MINUTE;
    return (
      this.#first.filter((other) => other.account === account).length < FIRST_MAX &&
      this.#timesOf(account).filter((time) => time > aMinuteAgo).length < FIRST_IN_MINUTE
    );
  }

  #timesOf(account: string | null): readonly number[] {
    return (account !== null && this.#times.get(account)) || [];
  }

  /** Before the turn: otherwise clients that leave before it would hold the line again and again. */
  #keepTime(account: string | null): void {
    if (account === null) return;
    const times = [...this.#timesOf(account), this.#clock()].slice(-FIRST_IN_MINUTE);
    this.#times.delete(account);
    this.#times.set(account, times);
    const [oldest] = this.#times.keys();
    if (this.#times.size > this.#accountsMax && oldest !== undefined) this.#times.delete(oldest);
  }

  /** Passes the turn on, once. */
  #end(): () => void {
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      const next = this.#first.shift() ?? this.#rest.shift();
      if (next) next.settle(true);
      else this.#running -= 1;
    };
  }
}

function remove(line: Waiting[], request: Waiting): void {
  const place = line.indexOf(request);
  if (place !== -1) line.splice(place, 1);
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
