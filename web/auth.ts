/** Better Auth as this project recommends it: e-mail and password, sessions in PostgreSQL, short-lived JWTs. */

import { type BetterAuthOptions, betterAuth } from "better-auth";
import { APIError } from "better-auth/api";
import { bearer, jwt } from "better-auth/plugins";
import { log } from "./log.ts";
import { limitMails, MAIL_WINDOW, printMail, type SendMail } from "./mail.ts";
import { HASHING_PATHS, passwordTurns } from "./password-turns.ts";
import { RateLimiter } from "./rate-limiter.ts";
import type { Settings } from "./settings.ts";
import { signInThrottle } from "./sign-in-throttle.ts";

const DAY = 24 * 60 * 60; // seconds
const EMAIL_MAX = 254; // characters (RFC 5321 §4.5.3.1.3, less the angle brackets)
const NAME_MAX = 100; // characters
const NO_NAME = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/u; // controls, and what turns the direction of the text around
const IMAGE_MAX = 2_000; // characters of its address
const USER_AGENT_MAX = 256; // characters
const SESSIONS_MAX = 50; // of one person; the oldest ends
const HASHES_OF_AN_ADDRESS = { max: 3, window: 10 }; // on one path, as Better Auth has it for sign-in

/** The header in which `serve.ts` passes the client's address to Better Auth. `serve.ts` drops what a client sends in it. */
export const CLIENT_ADDRESS = "x-taskward-client-address";

/** The plugin that makes the tokens which the task API accepts. */
export const tokens = () =>
  jwt({
    jwks: {
      keyPairConfig: { alg: "EdDSA", crv: "Ed25519" },
      rotationInterval: 30 * DAY,
      gracePeriod: 30 * DAY, // old keys are served for this long, so that no token dies before its time
    },
    jwt: {
      expirationTime: "15m",
      definePayload: () => ({}), // the API needs the subject only; otherwise each token would hold the whole user row
    },
    disableSettingJwtHeader: true, // a token is for the client that requests one, at /token
  });

/** For clients without cookies (curl, a phone): the signed session token of `set-auth-token`. Pages do not get it. */
export const sessionTokens = () => bearer({ requireSignature: true });

export function authOptions(
  settings: Settings,
  database: BetterAuthOptions["database"],
  sendMail: SendMail = printMail,
) {
  return {
    baseURL: settings.baseUrl,
    secret: settings.secret,
    database,
    ...mails(settings, limitMails(sendMail)),
    trustedOrigins: [...settings.trustedOrigins],
    rateLimit: {
      enabled: settings.rateLimit,
      customStorage: boundedCounts(),
      customRules: Object.fromEntries(HASHING_PATHS.map((path) => [path, HASHES_OF_AN_ADDRESS])),
    },
    disabledPaths: ["/verify-password"], // a stolen session could guess the password there
    // The page, which has a content security policy: Better Auth's own page of errors shows what its URL says.
    onAPIError: { errorURL: new URL("/", settings.baseUrl).href },
    advanced: {
      useSecureCookies: settings.baseUrl.startsWith("https:"),
      ipAddress: { ipAddressHeaders: [CLIENT_ADDRESS], trustedProxies: [...settings.trustedProxies] },
      // An answer does not wait for a mail: its time would show whether the address is known.
      backgroundTasks: { handler: (task) => void task },
    },
    databaseHooks: {
      user: {
        create: { before: async (user) => refuseLargeProfile(user) },
        update: { before: async (user) => refuseLargeProfile(user) },
      },
      session: {
        create: {
          before: async ({ userAgent }) =>
            userAgent ? { data: { userAgent: userAgent.slice(0, USER_AGENT_MAX) } } : undefined,
          after: async ({ userId }, context) => {
            const sessions = await context?.context.internalAdapter.listSessions(userId);
            const newestFirst = sessions?.toSorted((a, b) => Number(b.createdAt) - Number(a.createdAt)) ?? [];
            const tooMany = newestFirst.slice(SESSIONS_MAX).map(({ token }) => token);
            if (tooMany.length > 0) await context?.context.internalAdapter.deleteSessions(tooMany);
          },
        },
      },
    },
    telemetry: { enabled: false },
    logger: { log },
    plugins: [tokens(), sessionTokens(), ...(settings.rateLimit ? [signInThrottle()] : []), passwordTurns()],
  } satisfies BetterAuthOptions;
}

/**
 * Where an address must be verified, sign-up answers the same whether an account has it or not, and only the mail
 * says which it is.
 */
function mails(settings: Settings, send: SendMail) {
  return {
    emailAndPassword: {
      enabled: true,
      requireEmailVerification: settings.verifyEmail,
      onExistingUserSignUp: async ({ user }) =>
        send({
          to: user.email,
          subject: "You have an account already",
          text: `Somebody, perhaps you, tried to sign up with this address.\nYou have an account: sign in at ${settings.baseUrl}\n`,
        }),
    },
    emailVerification: {
      expiresIn: MAIL_WINDOW, // where no more mails come, the link of the last one still works
      sendOnSignUp: settings.verifyEmail,
      sendOnSignIn: settings.verifyEmail, // the first mail may be lost
      autoSignInAfterVerification: true,
      sendVerificationEmail: async ({ user, url }) =>
        send({
          to: user.email,
          subject: "Confirm your e-mail address",
          text: `Open this link to confirm that this is your address:\n${url}\nIf you did not sign up, ignore this mail.\n`,
        }),
    },
  } satisfies Partial<BetterAuthOptions>;
}

/** Counts of requests with a bound on their number: Better Auth's own grow with each path that somebody makes up. */
function boundedCounts() {
  const counts = new RateLimiter(); // who ends the counts of others has 170 addresses, and gains nothing by it
  return {
    consume: async (key: string, quota: { readonly window: number; readonly max: number }) => {
      const wait = counts.take(key, quota);
      return { allowed: wait === 0, retryAfter: wait || null };
    },
  };
}

interface Profile {
  readonly email?: string | undefined;
  readonly name?: string | undefined;
  readonly image?: string | null | undefined;
}

/** A name and the address of a picture, not the picture: both are in each answer about the session. */
function refuseLargeProfile({ email, name, image }: Profile): void {
  if (email !== undefined && email.length > EMAIL_MAX)
    throw new APIError("BAD_REQUEST", { message: `An e-mail address has at most ${EMAIL_MAX} characters.` });
  if (name !== undefined && NO_NAME.test(name))
    throw new APIError("BAD_REQUEST", { message: "A name has no control characters." });
  if (name !== undefined && [...name].length > NAME_MAX)
    throw new APIError("BAD_REQUEST", { message: `A name has at most ${NAME_MAX} characters.` });
  if (image && (image.length > IMAGE_MAX || !/^https?:/i.test(image)))
    throw new APIError("BAD_REQUEST", { message: "A picture is an https address of at most 2,000 characters." });
}

export const createAuth = (settings: Settings, database: BetterAuthOptions["database"]) =>
  betterAuth(authOptions(settings, database));
