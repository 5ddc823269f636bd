/** What `before-auth.ts` says of a request is what the real Better Auth does with it. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { parseCookies } from "better-auth/cookies";
import { requestReader, routesOf, sessionReader } from "../before-auth.ts";
import { given, SETTINGS } from "./better-auth.ts";

const HTTPS = { baseUrl: "https://app.example.com", trustedOrigins: ["https://app.example.com"] };

/**
 * Signs up an account at a real Better Auth. Returns the name of its cookie, its signed session token, our reader of such
 * tokens (`read`), and whether Better Auth finds a session in some headers (`hasSession`).
 */
async function signUpAnn(settings: Partial<typeof SETTINGS>) {
  const { auth } = given(settings);
  const { secret, authCookies } = await auth.$context;
  const { name } = authCookies.sessionToken;
  const body = { name: "Ann", email: "ann@example.com", password: "correct horse" };
  const { headers } = await auth.api.signUpEmail({ body, returnHeaders: true });
  const token = parseCookies(headers.getSetCookie()[0]?.split(";")[0] ?? "").get(name) ?? "";
  assert.match(token, /^\w+\.[\w+/]{43}=$/);
  const read = sessionReader(secret, name);
  const { baseUrl } = { ...SETTINGS, ...settings };
  const hasSession = async (sent: Record<string, string>) => {
    const answer = await auth.handler(new Request(`${baseUrl}/api/auth/get-session`, { headers: sent }));
    assert.equal(answer.status, 200);
    return (await answer.json()) !== null;
  };
  return { name, token, read, hasSession };
}

const changed = (text: string, at: number) => text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);

for (const [scheme, settings, prefix] of [
  ["http", {}, ""],
  ["https", HTTPS, "__Secure-"],
] as const)
  test(`behind ${scheme}, a session token counts as signed exactly if Better Auth finds the session`, async () => {
    const { name, token, read, hasSession } = await signUpAnn(settings);
    assert.equal(name, `${prefix}better-auth.session_token`);
    const encoded = encodeURIComponent(token);
    const [value = "", signature = ""] = token.split(".");
    const wrong = changed(encoded, 3);
    const cookies = [
      `${name}=${encoded}`,
      `${name}=${token}`,
      `${name}="${encoded}"`,
      `${name}="${encoded}`,
      ` ${name} = ${encoded} `,
      `a=b; ${name}=${encoded}; c=d`,
      `a; ${name}=${encoded}`,
      `${name}=${encoded}%`,
      `${name}=${[...token].map((sign) => `%${sign.charCodeAt(0).toString(16)}`).join("")}`,
      `${name}=${encodeURIComponent(encoded)}`,
      `${name}=${wrong}`,
      `${name}=${changed(encoded, value.length + 9)}`,
      `${name}=${value}.${changed(signature, 42)}`, // two bits of the last character have no effect
      `${name}=${value}.${signature.slice(0, 42)}${String.fromCharCode(signature.charCodeAt(42) + 1)}=`,
      `${name}=${value}.${signature.slice(0, 43)}`,
      `${name}=${value}.${signature}=`,
      `${name}=${value}.${signature.slice(0, 20)} ${signature.slice(20)}`,
      `${name}=${value}.${signature.replaceAll("+", "-").replaceAll("/", "_")}`,
      `${name}=${value}.`,
      `${name}=.${signature}`,
      `${name}=${value}`,
      `${name}=${encoded.slice(0, -1)}`,
      `${name}=`,
      `${name}`,
      "",
      `${name}=${wrong}; ${name}=${encoded}`,
      `${name}=${encoded}; ${name}=${wrong}`,
      `${name}=; ${name}=${encoded}`,
      `${name}=account.device.${createHmac("sha256", SETTINGS.secret).update("account.device").digest("base64")}`,
      `${name.toUpperCase()}=${encoded}`,
      `${prefix ? "" : "__Secure-"}better-auth.session_token=${encoded}`,
      `__Host-better-auth.session_token=${encoded}`,
      `better-auth-session_token=${encoded}`,
    ];
    const bearers = [
      `Bearer ${token}`,
      `bearer ${encoded}`,
      `BEARER   ${encoded} `,
      `Bearer ${encodeURIComponent(encoded)}`,
      `Bearer ${wrong}`,
      `Bearer ${changed(token, value.length + 9)}`,
      `Bearer ${value}`,
      `Bearer ${token}.${signature}`,
      `Bearer ${encoded}%`,
      `Bearer${token}`,
      `Basic ${token}`,
      "Bearer ",
    ];

    const requests: Record<string, string>[] = [
      ...cookies.map((cookie) => ({ cookie })),
      ...bearers.map((authorization) => ({ authorization })),
      { authorization: `Bearer ${wrong}`, cookie: `${name}=${encoded}` },
      { authorization: `Bearer ${token}`, cookie: `${name}=${wrong}` },
    ];
    const found = new Map<boolean, number>();
    for (const sent of requests) {
      const isSession = await hasSession(sent);
      found.set(isSession, (found.get(isSession) ?? 0) + 1);
      assert.equal(read(sent) !== null, isSession, JSON.stringify(sent));
    }

    assert.ok((found.get(true) ?? 0) >= 10 && (found.get(false) ?? 0) >= 20, JSON.stringify([...found]));
  });

test("all sessions of an account have one mark, and each account has another mark", async () => {
  const { auth, signUp, signIn } = given({});
  const { secret, authCookies } = await auth.$context;
  const { name } = authCookies.sessionToken;
  const cookieOf = (answer: Response) => answer.headers.getSetCookie().find((each) => each.startsWith(name)) ?? "";
  const cookies = [
    cookieOf(await signUp("ann@example.com")),
    cookieOf(await signIn("ann@example.com")),
    cookieOf(await signUp("bob@example.com")),
  ].map((cookie) => cookie.split(";")[0] ?? "");
  const read = sessionReader(secret, name);
  const requests = requestReader(routesOf(auth.api), read);

  const [first, second, bob] = cookies.map((cookie) => read({ cookie }));

  assert.deepEqual(
    cookies.map((cookie) => /=\w{48}\./.test(cookie)), // the mark has 16 of the 48 characters
    [true, true, true],
  );
  assert.equal(new Set(cookies).size, 3);
  assert.equal(first, second);
  assert.notEqual(first, bob);
  const asked = { method: "GET", url: "/api/auth/token", headers: { cookie: cookies[2] } } as IncomingMessage;
  assert.deepEqual(requests(asked), { kind: "signedIn", account: bob });
  const authorization = `Bearer ${(cookies[0] ?? "").slice(name.length + 1)}`;
  assert.equal(read({ authorization, cookie: cookies[2] ?? "" }), first); // Better Auth takes the bearer token too
});

test("a path counts as having no route only if the real Better Auth answers 404 without a body", async () => {
  const { auth } = given({});
  const hasRoute = routesOf(auth.api, auth.options.disabledPaths);
  const read = requestReader(hasRoute, () => null);
  const kindOf = (request: IncomingMessage) => read(request).kind;
  const endpoints = Object.values(auth.api as Record<string, { path?: string }>);
  const known = endpoints.flatMap(({ path }) => path?.replace(/:\w+/, "x") ?? []);
  assert.ok(known.length > 30);
  const paths = [
    ...known.flatMap((path) => [
      path,
      `${path}/`,
      `${path}//`,
      `/${path}`,
      `${path}x`,
      `${path}/x`,
      path.toUpperCase(),
    ]),
    ...[
      "",
      "/",
      "/0.123",
      "/%67et-session",
      "/x/../token",
      "/%2e%2e/auth/token",
      "/get-session%00",
      "/verify-password//",
    ],
  ];
  let withoutRoute = 0;
  for (const method of ["GET", "POST", "HEAD"])
    for (const path of paths) {
      const url = `/api/auth${path}`;
      if (kindOf({ method, url, headers: {} } as IncomingMessage) !== "noRoute") continue;
      withoutRoute += 1;
      const answer = await auth.handler(new Request(`${SETTINGS.baseUrl}${url}`, { method }));
      assert.deepEqual([answer.status, await answer.text(), [...answer.headers]], [404, "", []], `${method} ${url}`);
    }

  assert.ok(withoutRoute > 200);
  for (const [method, url, kind] of [
    ["GET", "/api/auth/get-session?disableCookieCache=true", "others"],
    ["GET", "http://app.example.com/api/auth/token", "others"],
    ["GET", "/api/auth/callback/github", "others"],
    ["POST", "/api/auth/verify-password", "others"], // its 404 has a body
    ["GET", "/api/auth/sign-in/email", "noRoute"],
    ["HEAD", "/api/auth/token", "noRoute"],
    ["POST", "/api/auth/0.5", "noRoute"],
    ["GET", "/api/%61uth/token", "noRoute"], // Hono passes it on, and Better Auth does not have it
    ["GET", "/x/../api/auth/0.5", "noRoute"],
    ["OPTIONS", "/api/auth/0.5", "page"],
    ["GET", "/", "page"],
    ["GET", "/?next=/api/auth/0.5", "page"],
    ["GET", "/assets/index.js", "page"],
  ] as const)
    assert.equal(kindOf({ method, url, headers: {} } as IncomingMessage), kind, `${method} ${url}`);
});
