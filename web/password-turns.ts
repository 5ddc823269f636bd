/**
 * Limits how many requests hash a password at once, of all people together.
 *
 * A hash takes 0.1 s of a core, and sign-up holds a database connection meanwhile. So such requests take turns before
 * they take a connection: half of the cores work for them, and the rest serves people who have a session. The queues
 * are bounded. Requests from a device on which the account has signed in before (`sign-in-throttle.ts`) wait in a
 * priority queue, so a flood from many addresses does not lock owners out. A flood may have accounts with known devices
 * too. So an account may use the priority queue only a few times in a minute. If the priority queue is full, a new
 * request is compared with the request in it whose account used this queue most recently before. The new request
 * replaces that one if its own account used this queue longer ago, or never.
 */

import { availableParallelism } from "node:os";
import type { BetterAuthPlugin } from "better-auth";
import { APIError, createAuthMiddleware } from "better-auth/api";
import { atEnd, leavePlace } from "./request-end.ts";
import { accountOf, type Context, knownDevice } from "./sign-in-throttle.ts";

/** The paths on which a password is hashed. */
export const HASHING_PATHS: readonly string[] = [
  "/sign-in/email",
  "/sign-up/email",
  "/change-password",
  "/delete-user",
  "/reset-password",
  "/verify-password",
];
const AT_ONCE = Math.max(1, Math.floor(availableParallelism() / 2));
const WAITING_MAX = 20 * AT_ONCE; // requests in each of the two queues: about two seconds of hashing
const PRIORITY_MAX = 2; // requests of one account in the priority queue; the others wait in the common queue
const PRIORITY_IN_MINUTE = 3; // uses of the priority queue by one account; later requests wait in the common queue
const MINUTE = 60_000; // milliseconds
const ACCOUNTS_MAX = 50_000; // accounts whose last uses are remembered; any other account counts as if it had no use
const RETRY_AFTER = 2; // seconds

interface Waiting {
  readonly account: string | null;
  /** When the account used the priority queue before this request: milliseconds of the clock. */
  readonly previousUse: number;
  readonly settle: (isMyTurn: boolean) => void;
}

export class TurnQueue {
  #running = 0;
  readonly #priority: Waiting[] = [];
  readonly #common: Waiting[] = [];
  /** When each account used the priority queue. Accounts are in the order of their last use. */
  readonly #uses = new Map<string, readonly number[]>();
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
   * Waits for the turn of a request, and resolves to the function that ends the turn. Resolves to `null` if the queues
   * have no place for the request, or if `signal` aborts before its turn. `account` is the account of a known device: its
   * requests may use the priority queue.
   */
  async take(account: string | null = null, signal?: AbortSignal): Promise<(() => void) | null> {
    if (signal?.aborted) return null;
    if (this.#running < this.#atOnce) {
      this.#running += 1;
      return this.#endOfTurn();
    }
    const isMyTurn = await new Promise<boolean>((resolve) => {
      const previousUse = this.#usesOf(account).at(-1) ?? Number.NEGATIVE_INFINITY;
      const request = { account, previousUse, settle: resolve };
      this.#enqueue(request);
      signal?.addEventListener("abort", () => {
        for (const queue of [this.#priority, this.#common]) remove(queue, request);
        resolve(false);
      });
    });
    return isMyTurn ? this.#endOfTurn() : null;
  }

  get waiting(): number {
    return this.#priority.length + this.#common.length;
  }

  /** Puts a request into a queue. One without a place in the priority queue waits in the common one, or is refused. */
  #enqueue(request: Waiting): void {
    const withoutPlace = this.#enqueueWithPriority(request);
    if (withoutPlace === null) return;
    if (this.#common.length < this.#waitingMax) this.#common.push(withoutPlace);
    else withoutPlace.settle(false);
  }

  /** Returns the request without a place in the priority queue: this one, the one that it replaced, or none. */
  #enqueueWithPriority(request: Waiting): Waiting | null {
    if (!this.#mayUsePriority(request)) return request;
    const [latest = request] = this.#priority.toSorted((a, b) => b.previousUse - a.previousUse);
    const isFull = this.#priority.length >= this.#waitingMax;
    if (isFull && latest.previousUse <= request.previousUse) return request;
    if (isFull) remove(this.#priority, latest);
    this.#priority.push(request);
    this.#rememberUse(request.account);
    return isFull ? latest : null;
  }

  #mayUsePriority({ account }: Waiting): boolean {
    if (account === null) return false;
    const aMinuteAgo = this.#clock() - MINUTE;
    return (
      this.#priority.filter((other) => other.account === account).length < PRIORITY_MAX &&
      this.#usesOf(account).filter((time) => time > aMinuteAgo).length < PRIORITY_IN_MINUTE
    );
  }

  #usesOf(account: string | null): readonly number[] {
    return (account !== null && this.#uses.get(account)) || [];
  }

  /** Counts a use before its turn: otherwise clients that disconnect before their turn could fill the queue again and again. */
  #rememberUse(account: string | null): void {
    if (account === null) return;
    const uses = [...this.#usesOf(account), this.#clock()].slice(-PRIORITY_IN_MINUTE);
    this.#uses.delete(account);
    this.#uses.set(account, uses);
    const [oldest] = this.#uses.keys();
    if (this.#uses.size > this.#accountsMax && oldest !== undefined) this.#uses.delete(oldest);
  }

  /** Returns a function that gives the turn to the next request, once. */
  #endOfTurn(): () => void {
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      const next = this.#priority.shift() ?? this.#common.shift();
      if (next) next.settle(true);
      else this.#running -= 1;
    };
  }
}

function remove(queue: Waiting[], request: Waiting): void {
  const index = queue.indexOf(request);
  if (index !== -1) queue.splice(index, 1);
}

/** Put this plugin after all limits, so that a request that is refused anyway takes no turn. */
export function passwordTurns(queue = new TurnQueue(AT_ONCE, WAITING_MAX)): BetterAuthPlugin {
  async function takeTurn(ctx: Context): Promise<void> {
    if (!ctx.request) return;
    const account = accountOf(ctx.body?.email);
    const isKnown = account !== null && (await knownDevice(ctx, account)) !== null;
    leavePlace(); // otherwise requests that wait here would take the places of people who have a session
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
