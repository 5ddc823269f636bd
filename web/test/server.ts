/** The sign-in server in the variants that the tests need. The environment variable `TEST_VARIANT` is a `Variant` as JSON. */

import { betterAuth } from "better-auth";
import { jwt } from "better-auth/plugins";
import { SignJWT } from "jose";
import { authOptions, bearerPlugin, createAuth, jwtPlugin } from "../auth.ts";
import { serve } from "../serve.ts";
import { readSettings } from "../settings.ts";

interface Variant {
  readonly alg?: "ES256" | "RS256";
  readonly rotation?: number; // of the keys: seconds
  readonly life?: string; // of a token, such as "5s"
  readonly hs256?: boolean; // tokens are signed with the secret
  readonly ids?: "uuid"; // of users
  readonly sessionCache?: "secret" | "keys"; // the cookie cache of sessions is on, signed with this
  readonly mails?: boolean; // a sign-up prints `mail` and the token that verifies the address
}

const settings = readSettings(process.env);
const variant = JSON.parse(process.env["TEST_VARIANT"] ?? "{}") as Variant;

/** Better Auth signs tokens with its secret only if a custom `sign` does so. */
const hs256 = () =>
  jwt({
    jwks: { remoteUrl: `${settings.baseUrl}/unused`, keyPairConfig: { alg: "EdDSA" } },
    jwt: {
      sign: (payload) =>
        new SignJWT(payload).setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(settings.secret)),
    },
  });

const variantOfJwtPlugin = () => {
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
    plugins: [variantOfJwtPlugin(), bearerPlugin()],
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
