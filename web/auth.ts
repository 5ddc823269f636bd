/** Better Auth as this project recommends it: e-mail and password, sessions in PostgreSQL, short-lived JWTs. */

import { type BetterAuthOptions, betterAuth } from "better-auth";
import { APIError } from "better-auth/api";
import { bearer, jwt } from "better-auth/plugins";
import { markToken } from "./before-auth.ts";
import { log } from "./log.ts";
import { limitMails, MAIL_WINDOW, printMail, type SendMail } from "./mail.ts";
import { HASHING_PATHS, passwordTurns } from "./password-turns.ts";
import { RateLimiter } from "./rate-limiter.ts";
import type { Settings } from "./settings.ts";
import { signInThrottle } from "./sign-in-throttle.ts";

const DAY = 24 * 60 * 60; // seconds
const EMAIL_MAX = 254; // characters (RFC 5321 §4.5.3.1.3, less the angle brackets)
const NAME_MAX = 100; // characters
const NOT_IN_NAMES = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/u; // control characters, and those that change the direction of text
const IMAGE_MAX = 2_000; // characters of a picture's URL
const USER_AGENT_MAX = 256; // characters
const SESSIONS_MAX = 50; // of one person; if there are more, the oldest end

/** Requests of an address on one path that hashes a password, in 10 seconds: as many as Better Auth allows for sign-in. */
const HASHES_OF_AN_ADDRESS = { max: 3, window: 10 };

/** The header in which `serve.ts` passes the client's address to Better Auth. `serve.ts` drops what a client sends in it. */
export const CLIENT_ADDRESS = "x-taskward-client-address";

/** Returns the plugin that makes the tokens which the task API accepts. */
export const jwtPlugin = () =>
  jwt({
    jwks: {
      keyPairConfig: { alg: "EdDSA", crv: "Ed25519" },
      rotationInterval: 30 * DAY,
      gracePeriod: 30 * DAY, // old keys are still served for this long, so each token is valid until it expires
    },
    jwt: {
      expirationTime: "15m",
      definePayload: () => ({}), // the API needs the subject only; otherwise each token would hold the whole user row
    },
    disableSettingJwtHeader: true, // a token is for the client that requests one, at /token
  });

/**
 * Returns the plugin for clients without cookies (curl, a phone). They get a signed session token in the response header
 * `set-auth-token`, and send it in `Authorization`. Pages do not get this header.
 */
export const bearerPlugin = () => bearer({ requireSignature: true });

export function authOptions(
  settings: Settings,
  database: BetterAuthOptions["database"],
  sendMail: SendMail = printMail,
) {
  return {
    baseURL: settings.baseUrl,
    secret: settings.secret,
    database,
    ...mailOptions(settings, limitMails(sendMail)),
    trustedOrigins: [...settings.trustedOrigins],
    rateLimit: {
      enabled: settings.rateLimit,
      customStorage: boundedCounts(),
      customRules: Object.fromEntries(HASHING_PATHS.map((path) => [path, HASHES_OF_AN_ADDRESS])),
    },
    disabledPaths: ["/verify-password"], // with a stolen session, somebody could guess the password there
    // Our page shows the errors, because it has a content security policy. Better Auth's own page shows text of its URL.
    onAPIError: { errorURL: new URL("/", settings.baseUrl).href },
    advanced: {
      useSecureCookies: settings.baseUrl.startsWith("https:"),
      ipAddress: { ipAddressHeaders: [CLIENT_ADDRESS], trustedProxies: [...settings.trustedProxies] },
      // A response does not wait for a mail. Otherwise its time would show whether the address is known.
      backgroundTasks: { handler: (task) => void task },
    },
    databaseHooks: {
      user: {
        create: { before: async (user) => checkProfile(user) },
        update: { before: async (user) => checkProfile(user) },
      },
      session: {
        create: {
          before: async ({ token, userId, userAgent }) => ({
            data: {
              token: markToken(token, userId),
              ...(userAgent && { userAgent: userAgent.slice(0, USER_AGENT_MAX) }),
            },
          }),
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
    plugins: [jwtPlugin(), bearerPlugin(), ...(settings.rateLimit ? [signInThrottle()] : []), passwordTurns()],
  } satisfies BetterAuthOptions;
}

/**
 * If addresses must be verified, sign-up gives the same response whether an account has the address or not. Only the
 * mail shows whether one has it.
 */
function mailOptions(settings: Settings, send: SendMail) {
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
      expiresIn: MAIL_WINDOW, // while the limit stops further mails, the link of the last one still works
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

/** Counts requests, with a limit on the number of counts: Better Auth's own counts grow with each invented path. */
function boundedCounts() {
  const counts = new RateLimiter(); // has room for 170 addresses: each can cause 300 counts within 10 seconds
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

/**
 * Refuses a long e-mail address, name or URL of a picture, because each response about the session has them. Also refuses
 * a name with control characters, and a picture itself (a `data:` URL).
 */
function checkProfile({ email, name, image }: Profile): void {
  if (email !== undefined && email.length > EMAIL_MAX)
    throw new APIError("BAD_REQUEST", { message: `An e-mail address has at most ${EMAIL_MAX} characters.` });
  if (name !== undefined && NOT_IN_NAMES.test(name))
    throw new APIError("BAD_REQUEST", { message: "A name has no control characters." });
  if (name !== undefined && [...name].length > NAME_MAX)
    throw new APIError("BAD_REQUEST", { message: `A name has at most ${NAME_MAX} characters.` });
  if (image && (image.length > IMAGE_MAX || !/^https?:/i.test(image)))
    throw new APIError("BAD_REQUEST", {
      message: "A picture is an http or https address of at most 2,000 characters.",
    });
}

export const createAuth = (settings: Settings, database: BetterAuthOptions["database"]) =>
  betterAuth(authOptions(settings, database));
