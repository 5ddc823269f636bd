/** Better Auth as this project recommends it: e-mail and password, sessions in PostgreSQL, short-lived JWTs. */

import { type BetterAuthOptions, betterAuth } from "better-auth";
import { bearer, jwt } from "better-auth/plugins";
import type { Pool } from "pg";
import type { Settings } from "./settings.ts";

const DAY = 24 * 60 * 60; // seconds

/** The plugin that makes the tokens which the task API believes. */
export const tokens = () =>
  jwt({
    jwks: {
      keyPairConfig: { alg: "EdDSA", crv: "Ed25519" },
      rotationInterval: 30 * DAY,
      gracePeriod: 30 * DAY, // old keys are served for this long, so that no token dies before its time
    },
    jwt: { expirationTime: "15m" },
  });

export function authOptions(settings: Settings, database: Pool) {
  return {
    baseURL: settings.baseUrl,
    secret: settings.secret,
    database,
    emailAndPassword: { enabled: true },
    trustedOrigins: [...settings.trustedOrigins],
    rateLimit: { enabled: settings.rateLimit },
    advanced: { useSecureCookies: settings.baseUrl.startsWith("https:") },
    telemetry: { enabled: false },
    // `bearer` lets clients without cookies (curl, a phone) use the session token they got when they signed in.
    plugins: [tokens(), bearer()],
  } satisfies BetterAuthOptions;
}

export const createAuth = (settings: Settings, database: Pool) => betterAuth(authOptions(settings, database));
