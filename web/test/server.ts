/**
 * The sign-in server in the variants that the tests need. `TEST_VARIANT` is JSON:
 * `alg`, `rotation` (seconds), `life` (of a token), `hs256`, `ids`, `sessionCache` (signed with what), `mails`.
 */

import { betterAuth } from "better-auth";
import { jwt } from "better-auth/plugins";
import { SignJWT } from "jose";
import { authOptions, bearerPlugin, createAuth, jwtPlugin } from "../auth.ts";
import { serve } from "../serve.ts";
import { readSettings } from "../settings.ts";

interface Variant {
  readonly alg?: "ES256" | "RS256";
  readonly rotation?: number;
  readonly life?: string;
  readonly hs256?: boolean;
  readonly ids?: "uuid";
  readonly sessionCache?: "secret" | "keys";
  readonly mails?: boolean;
}

const settings = readSettings(process.env);
const variant = JSON.parse(process.env["TEST_VARIANT"] ?? "{}") as Variant;

/** Better Auth signs with its secret only where a custom `sign` does so. */
const hs256 = () =>
  jwt({
    jwks: { remoteUrl: `${settings.baseUrl}/unused`, keyPairConfig: { alg: "EdDSA" } },
    jwt: {
      sign: (payload) =>
        new SignJWT(payload).setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(settings.secret)),
    },
  });

const keys = () => {
  if (variant.hs256) return hs256();
  if (variant.rotation) return jwt({ jwks: { rotationInterval: variant.rotation, gracePeriod: 3600 } });
  if (variant.life) return jwt({ jwt: { expirationTime: variant.life } });
  if (variant.alg) return jwt({ jwks: { keyPairConfig: { alg: variant.alg } } });
  return variant.sessionCache === "keys" ? jwt({ sessionCookieCache: true }) : jwtPlugin();
};

await serve(settings, (database) => {
  if (Object.keys(variant).length === 0) return createAuth(settings, database);
  const options = authOptions(settings, database);
  return betterAuth({
    ...options,
    plugins: [keys(), bearerPlugin()],
    ...(variant.ids && { advanced: { ...options.advanced, database: { generateId: variant.ids } } }),
    ...(variant.sessionCache && { session: { cookieCache: { enabled: true, strategy: "jwt" as const } } }),
    ...(variant.mails && {
      emailVerification: {
        sendOnSignUp: true,
        sendVerificationEmail: async ({ token }: { token: string }) => console.log(`mail ${token}`),
      },
    }),
  });
});
