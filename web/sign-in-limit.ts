/**
 * How many wrong passwords one account takes, from all addresses together.
 *
 * Better Auth counts by address; many addresses could guess one password. An attacker must not lock the owner out
 * either: an address that signed in to the account before goes on, however many others guess.
 */

import { APIError, createAuthMiddleware, getIP, isAPIError } from "better-auth/api";

const WRONG_MAX = 20; // wrong passwords of one account within the window
const WINDOW = 15 * 60 * 1000; // milliseconds
const ACCOUNTS_MAX = 10_000; // accounts that are remembered, those used last
const ADDRESSES_MAX = 20; // known addresses of each

interface Account {
  wrong: number;
  since: number;
  readonly known: Set<string>;
}

export class SignInLimit {
  readonly #accounts = new Map<string, Account>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Seconds until somebody at this address may try again; 0: now. */
  wait(email: string, address: string): number {
    const account = this.#accounts.get(name(email));
    if (!account || account.known.has(address)) return 0;
    const left = account.since + WINDOW - this.#now();
    return account.wrong >= WRONG_MAX && left > 0 ? Math.ceil(left / 1000) : 0;
  }

  /** Counts a try before its password is looked at, or many at once would all pass. */
  tried(email: string): void {
    const account = this.#account(email);
    if (this.#now() - account.since >= WINDOW) Object.assign(account, { wrong: 0, since: this.#now() });
    account.wrong += 1;
  }

  succeeded(email: string, address: string): void {
    const account = this.#account(email);
    account.wrong = Math.max(0, account.wrong - 1);
    const { known } = account;
    known.delete(address);
    known.add(address);
    for (const oldest of known) if (known.size > ADDRESSES_MAX) known.delete(oldest);
  }

  #account(email: string): Account {
    const key = name(email);
    const account = this.#accounts.get(key) ?? { wrong: 0, since: this.#now(), known: new Set() };
    this.#accounts.delete(key); // the one used last is the last of the map
    this.#accounts.set(key, account);
    for (const oldest of this.#accounts.keys()) {
      if (this.#accounts.size <= ACCOUNTS_MAX) break;
      this.#accounts.delete(oldest);
    }
    return account;
  }
}

/** Better Auth's hooks that ask the limit before a password is looked at, and count the try. */
export function limitSignIn(limit: SignInLimit = new SignInLimit()) {
  return {
    before: createAuthMiddleware(async (context) => {
      const email = emailOf(context);
      const seconds = email === null ? 0 : limit.wait(email, addressOf(context));
      if (seconds > 0)
        throw new APIError(
          "TOO_MANY_REQUESTS",
          { code: "TOO_MANY_WRONG_PASSWORDS", message: "Too many wrong passwords. Try again later." },
          { "retry-after": String(seconds) },
        );
      if (email !== null) limit.tried(email);
    }),
    after: createAuthMiddleware(async (context) => {
      const email = emailOf(context);
      if (email === null) return;
      const answer = context.context.returned;
      if (!isAPIError(answer)) limit.succeeded(email, addressOf(context));
    }),
  };
}

type Context = Parameters<Parameters<typeof createAuthMiddleware>[0]>[0];

function emailOf(context: Context): string | null {
  const { email } = (context.body ?? {}) as { email?: unknown };
  return context.path === "/sign-in/email" && typeof email === "string" ? email : null;
}

function addressOf({ request, context }: Context): string {
  return (request && getIP(request, context.options)) || "unknown";
}

const name = (email: string): string => email.trim().toLowerCase().slice(0, 320);
