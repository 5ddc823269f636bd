/** A real Better Auth in memory, browsers with a cookie jar each, and an API that accepts its tokens. */

import { createHash } from "node:crypto";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { createAuthClient } from "better-auth/client";
import { jwt } from "better-auth/plugins";

const ORIGIN = "https://app.example.com";
const fast = (password: string) => createHash("sha256").update(password).digest("hex");

export const tables = { user: [], session: [], account: [], verification: [], jwks: [] } as Record<string, unknown[]>;

const authOf = (requireEmailVerification: boolean) =>
  betterAuth({
    baseURL: ORIGIN,
    secret: "a secret for tests that has enough characters",
    database: memoryAdapter(tables),
    emailAndPassword: {
      enabled: true,
      requireEmailVerification,
      password: {
        hash: async (password) => fast(password),
        verify: async ({ hash, password }) => hash === fast(password),
      },
    },
    advanced: { useSecureCookies: false },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    plugins: [jwt({ jwt: { definePayload: () => ({}) } })],
  });

/** A browser: its pages send its cookies to Better Auth. */
export function browser({ verifiesEmail = false } = {}) {
  const auth = authOf(verifiesEmail);
  const requested: string[] = [];
  const cookies = new Map<string, string>();

  const send: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    requested.push(new URL(request.url).pathname);
    const headers = new Headers(request.headers);
    headers.set("cookie", [...cookies].map(([name, value]) => `${name}=${value}`).join("; "));
    headers.set("origin", ORIGIN);
    const answer = await auth.handler(new Request(request, { headers }));
    for (const cookie of answer.headers.getSetCookie()) {
      const [pair = "", ...rules] = cookie.split(";");
      const [name = "", value = ""] = [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)];
      if (rules.some((rule) => /max-age=0/i.test(rule))) cookies.delete(name);
      else cookies.set(name, value);
    }
    return answer;
  };
  /** The Better Auth client of a new page of this browser. `instead` may answer requests in place of Better Auth. */
  const page = (instead: (path: string) => Promise<Response> | null = () => null) =>
    clientOf((input, init) => instead(new URL(new Request(input, init).url).pathname) ?? send(input, init));
  return { page, requested };
}

/** The Better Auth client of a front end, on one page. */
export const clientOf = (send: typeof fetch) =>
  createAuthClient({ baseURL: ORIGIN, fetchOptions: { customFetchImpl: send } });

/** An API that keeps what each person wrote, by the subject of the token. */
export function tasksByOwner() {
  const owners: Record<string, string[]> = {};
  const send: typeof fetch = async (_, init = {}) => {
    const token = new Headers(init.headers).get("authorization")?.split(".")[1] ?? "";
    const { sub } = JSON.parse(Buffer.from(token, "base64url").toString()) as { sub: string };
    if (init.method !== "POST") return Response.json([]);
    const { title } = JSON.parse(String(init.body)) as { title: string };
    owners[sub] = [...(owners[sub] ?? []), title];
    return Response.json({ id: title, title }, { status: 201 });
  };
  return { owners, send };
}
