import { betterAuth } from "better-auth";
import { bearer, jwt } from "better-auth/plugins";
import { Pool } from "pg";

const DAY = 24 * 60 * 60; // seconds
const { BETTER_AUTH_SECRET, BETTER_AUTH_URL, DATABASE_URL } = process.env;
if (!BETTER_AUTH_SECRET || !BETTER_AUTH_URL || !DATABASE_URL)
  throw new Error("set BETTER_AUTH_SECRET, BETTER_AUTH_URL and DATABASE_URL");

export const auth = betterAuth({
  baseURL: BETTER_AUTH_URL, // fixed: without it, whoever sends a Host header chooses whose tokens are made
  secret: BETTER_AUTH_SECRET,
  database: new Pool({ connectionString: DATABASE_URL }),
  emailAndPassword: { enabled: true },
  trustedOrigins: [BETTER_AUTH_URL],
  plugins: [
    jwt({
      jwks: { rotationInterval: 30 * DAY, gracePeriod: 30 * DAY },
      jwt: { expirationTime: "15m", definePayload: () => ({}) }, // the whole user row would be in each token
    }),
    bearer({ requireSignature: true }), // for curl and phones; leave it out where only pages sign in
  ],
});
