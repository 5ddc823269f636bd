/** Better Auth as this project recommends it: e-mail and password, sessions in PostgreSQL, short-lived JWTs. */

import { type BetterAuthOptions, betterAuth } from "better-auth";
import { APIError } from "better-auth/api";
import { bearer, jwt } from "better-auth/plugins";
import type { Pool } from "pg";
import type { Settings } from "./settings.ts";
import { limitSignIn } from "./sign-in-limit.ts";

const DAY = 24 * 60 * 60; // seconds
const EMAIL_MAX = 254; // characters (RFC 5321 §4.5.3.1.3, less the angle brackets)
const NAME_MAX = 100; // characters
const IMAGE_MAX = 2_000; // characters of its address

/** The header in which `serve.ts` tells Better Auth the client's address. What a client sends in it is dropped. */
export const CLIENT_ADDRESS = "x-taskward-client-address";

/** The plugin that makes the tokens which the task API believes. */
export const tokens = () =>
  jwt({
    jwks: {
      keyPairConfig: { alg: "EdDSA", crv: "Ed25519" },
      rotationInterval: 30 * DAY,
      gracePeriod: 30 * DAY, // old keys are served for this long, so that no token dies before its time
    },
    jwt: {
      expirationTime: "15m",
      definePayload: () => ({}), // the subject is all that the API needs; the whole user row would be sent otherwise
    },
  });

export function authOptions(settings: Settings, database: Pool) {
  return {
    baseURL: settings.baseUrl,
    secret: settings.secret,
    database,
    // Where an address must be verified, sign-up answers the same whether an account has it or not.
    emailAndPassword: { enabled: true, requireEmailVerification: settings.verifyEmail },
    emailVerification: {
      sendOnSignUp: settings.verifyEmail,
      autoSignInAfterVerification: true,
      sendVerificationEmail: async ({ user, url }) => printMail(user.email, "Verify your e-mail address", url),
    },
    trustedOrigins: [...settings.trustedOrigins],
    rateLimit: { enabled: settings.rateLimit },
    ...(settings.rateLimit && { hooks: limitSignIn() }),
    advanced: {
      useSecureCookies: settings.baseUrl.startsWith("https:"),
      ipAddress: { ipAddressHeaders: [CLIENT_ADDRESS], trustedProxies: [...settings.trustedProxies] },
    },
    databaseHooks: {
      user: {
        create: { before: async (user) => refuseLargeProfile(user) },
        update: { before: async (user) => refuseLargeProfile(user) },
      },
    },
    telemetry: { enabled: false },
    // `bearer` lets clients without cookies (curl, a phone) use the signed session token of `set-auth-token`.
    plugins: [tokens(), bearer({ requireSignature: true })],
  } satisfies BetterAuthOptions;
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
  if (name?.includes("\0")) throw new APIError("BAD_REQUEST", { message: "A name has no control characters." });
  if (name !== undefined && [...name].length > NAME_MAX)
    throw new APIError("BAD_REQUEST", { message: `A name has at most ${NAME_MAX} characters.` });
  if (image && (image.length > IMAGE_MAX || !/^https?:/i.test(image)))
    throw new APIError("BAD_REQUEST", { message: "A picture is an https address of at most 2,000 characters." });
}

/** The place to call your mail service. Until then the mail is printed; `make run` keeps that in `.state/better-auth.log`. */
function printMail(to: string, subject: string, text: string): void {
  console.log(`mail to ${to}: ${subject}\n  ${text}`);
}

export const createAuth = (settings: Settings, database: Pool) => betterAuth(authOptions(settings, database));
