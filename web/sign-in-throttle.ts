/**
 * A Better Auth plugin that slows down guessing one account's password, from all addresses together.
 *
 * It counts wrong passwords: of an account at one address, of an account at all addresses, of an account on a known
 * device, and of a signed-in person who changes the password. A device is known if the account has signed in there
 * before. It has a signed cookie and a count of its own, so nobody can lock a person out of their own devices (OWASP,
 * "Slow Down Online Guessing Attacks with Device Cookies"). The cookie is still valid after a restart of this server.
 * People who share an address have different cookies. The responses are the same whether the account exists or not.
 */

import { createHash, randomUUID } from "node:crypto";
import type { BetterAuthPlugin } from "better-auth";
import { APIError, createAuthMiddleware, getIP, getSessionFromCtx } from "better-auth/api";
import { LastingCounts } from "./lasting-counts.ts";
import type { Quota } from "./rate-limiter.ts";
import { atEnd } from "./request-end.ts";

const MINUTE = 60; // seconds
const HOUR = 60 * MINUTE;
// Wrong passwords of one account.
const AT_ADDRESS: Quota = { max: 5, window: 15 * MINUTE };
const ON_DEVICE: Quota = { max: 10, window: 15 * MINUTE };
const AT_ALL_ADDRESSES: Quota = { max: 20, window: HOUR };

const COOKIE = "known_device";
const COOKIE_LIFE = 90 * 24 * HOUR;

type Use = readonly [counts: LastingCounts, key: string];
export type Context = Parameters<Parameters<typeof createAuthMiddleware>[0]>[0];

const WRONG_PASSWORD = 401;
const WRONG_OLD_PASSWORD = 400;

export function signInThrottle(): BetterAuthPlugin {
  const onDevice = new LastingCounts(ON_DEVICE);
  const atAddress = new LastingCounts(AT_ADDRESS);
  const atAllAddresses = new LastingCounts(AT_ALL_ADDRESSES);
  const inPasswordChanges = new LastingCounts(ON_DEVICE);

  /** Counts for all sessions of a person together. So a stolen session guesses no faster than a stolen device. */
  async function takeQuotaOfPerson(ctx: Context): Promise<void> {
    const session = await getSessionFromCtx(ctx);
    if (session && ctx.request) takeQuotas([[inPasswordChanges, session.user.id]], WRONG_OLD_PASSWORD);
  }

  async function takeQuotasOfAccount(ctx: Context): Promise<void> {
    const account = accountOf(ctx.body?.email);
    if (!account || !ctx.request) return;
    const device = await knownDevice(ctx, account);
    const address = getIP(ctx.request, ctx.context.options) ?? "unknown";
    const uses: readonly Use[] = device
      ? [[onDevice, device]]
      : [
          [atAddress, `${account} ${address}`],
          [atAllAddresses, account],
        ];
    takeQuotas(uses, WRONG_PASSWORD);
  }

  return {
    id: "sign-in-throttle",
    hooks: {
      before: [
        { matcher: ({ path }) => path === "/sign-in/email", handler: createAuthMiddleware(takeQuotasOfAccount) },
        { matcher: ({ path }) => path === "/change-password", handler: createAuthMiddleware(takeQuotaOfPerson) },
      ],
      after: [{ matcher: () => true, handler: createAuthMiddleware(rememberDevice) }],
    },
  };
}

/** Returns a hash of an e-mail address, which names its account; `null` if the body has no address. */
export function accountOf(email: unknown): string | null {
  if (typeof email !== "string") return null;
  return createHash("sha256").update(email.toLowerCase()).digest("base64url").slice(0, 22);
}

/** Returns the random name of this device; `null` if this account has not signed in on it before. */
export async function knownDevice(ctx: Context, account: string): Promise<string | null> {
  const cookie = ctx.context.createAuthCookie(COOKIE);
  const value = await ctx.getSignedCookie(cookie.name, ctx.context.secret);
  const [owner, device] = value ? value.split(".") : [];
  return owner === account && device ? device : null;
}

/** Uses each quota once, and gives all back if the response has another status than `wrong`. Throws 429 if one is used up. */
function takeQuotas(uses: readonly Use[], wrong: number): void {
  for (const [index, [counts, key]] of uses.entries()) {
    const wait = counts.take(key);
    if (wait === 0) continue;
    giveBack(uses.slice(0, index));
    throw tooMany(wait);
  }
  atEnd((status) => {
    if (status !== wrong) giveBack(uses);
  });
}

function giveBack(uses: readonly Use[]): void {
  for (const [counts, key] of uses) counts.giveBack(key);
}

async function rememberDevice(ctx: Context): Promise<void> {
  const account = accountOf(ctx.context.newSession?.user.email);
  if (!account) return;
  const device = (await knownDevice(ctx, account)) ?? randomUUID();
  const { name, attributes } = ctx.context.createAuthCookie(COOKIE, { maxAge: COOKIE_LIFE });
  await ctx.setSignedCookie(name, `${account}.${device}`, ctx.context.secret, attributes);
}

function tooMany(wait: number): APIError {
  const minutes = Math.ceil(wait / MINUTE);
  const message = `Too many wrong passwords for this account. Try again in ${minutes === 1 ? "a minute" : `${minutes} minutes`}.`;
  return new APIError(
    "TOO_MANY_REQUESTS",
    { message, code: "TOO_MANY_WRONG_PASSWORDS" },
    { "Retry-After": String(wait) },
  );
}
