import { betterAuth } from "better-auth";
import { jwt } from "better-auth/plugins";
import { Pool } from "pg";

const DAY = 24 * 60 * 60; // seconds

export const auth = betterAuth({
  baseURL: process.env.BETTER_AUTH_URL, // fixed: otherwise a forged Host header would choose the issuer of tokens
  secret: process.env.BETTER_AUTH_SECRET,
  database: new Pool({ connectionString: process.env.DATABASE_URL }),
  emailAndPassword: { enabled: true },
  plugins: [
    jwt({
      jwks: { rotationInterval: 30 * DAY, gracePeriod: 30 * DAY },
      jwt: { expirationTime: "15m", definePayload: () => ({}) }, // otherwise each token would hold the whole user row
    }),
  ],
});
