/** A Better Auth in memory, as `auth.ts` sets it up, for tests of its plugins and mails. */

import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { authOptions, bearerPlugin, CLIENT_ADDRESS, jwtPlugin } from "../auth.ts";
import type { Mail } from "../mail.ts";
import { passwordTurns, TurnQueue } from "../password-turns.ts";
import { untilEnd } from "../request-end.ts";
import type { Settings } from "../settings.ts";
import { signInThrottle } from "../sign-in-throttle.ts";

const ORIGIN = "http://localhost:3000";
export const PASSWORD = "correct horse";

export const SETTINGS: Settings = {
  baseUrl: ORIGIN,
  port: 3000,
  secret: "0123456789abcdef0123456789abcdef",
  databaseUrl: "",
  apiUrl: ORIGIN,
  rateLimit: false, // of addresses; the plugins below limit wrong passwords all the same
  trustedProxies: [],
  verifyEmail: false,
  trustedOrigins: [ORIGIN],
};

export function given(
  settings: Partial<Settings>,
  sendMail: (mail: Mail) => Promise<void> = async () => {},
  queue = new TurnQueue(1, 100),
) {
  const database = memoryAdapter({ user: [], session: [], account: [], verification: [], jwks: [] });
  const options = authOptions({ ...SETTINGS, ...settings }, database, sendMail);
  const auth = betterAuth({
    ...options,
    emailAndPassword: {
      ...options.emailAndPassword,
      password: { hash: async (password) => password, verify: async ({ hash, password }) => hash === password },
    },
    logger: { disabled: true },
    plugins: [jwtPlugin(), bearerPlugin(), signInThrottle(), passwordTurns(queue)],
  });

  const ask = (request: Request): Promise<Response> => untilEnd(() => auth.handler(request));
  const post = (path: string, body: object, headers: Record<string, string> = {}): Promise<Response> =>
    ask(
      new Request(`${ORIGIN}/api/auth${path}`, {
        method: "POST",
        headers: { origin: ORIGIN, "content-type": "application/json", ...headers },
        body: JSON.stringify(body),
      }),
    );

  return {
    auth,
    open: (link: string) => ask(new Request(link)),
    sendVerification: (email: string) => post("/send-verification-email", { email }),
    signUp: (email: string) => post("/sign-up/email", { name: "Ann", email, password: PASSWORD }),
    signIn: (email: string, { password = PASSWORD, address = "192.0.2.1", cookie = "" } = {}) =>
      post("/sign-in/email", { email, password }, { [CLIENT_ADDRESS]: address, ...(cookie && { cookie }) }),
  };
}
