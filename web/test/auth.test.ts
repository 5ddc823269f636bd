/** Where `lib/auth.ts` asks for tokens, and what it makes of the answers. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Problem } from "../lib/api";
import { createAuth } from "../lib/auth";

const real = globalThis.fetch;
afterEach(() => {
  globalThis.fetch = real;
});

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const TOKEN = `x.${encode({ sub: "ann", iat: 0, exp: 900 })}.x`;
const isProblem = (status: number) => (error: unknown) => error instanceof Problem && error.status === status;

/** A sign-in service whose answer the test changes; what it was asked, and with which credentials. */
function service(answer: () => Response | Promise<Response>) {
  const state = { answer, asked: [] as [string, RequestCredentials | undefined][] };
  globalThis.fetch = async (input, init) => {
    state.asked.push([String(input instanceof Request ? input.url : input), init?.credentials]);
    return state.answer();
  };
  return state;
}

const unreachable = () => Promise.reject(new TypeError("fetch failed"));

for (const [base, address] of [
  ["https://app.example.com", "https://app.example.com/api/auth/token"],
  ["https://ep-x.neon.tech/neondb/auth", "https://ep-x.neon.tech/neondb/auth/token"],
] as const)
  test(`a token of ${base} is asked for at ${address}, with the cookie`, async () => {
    const { asked } = service(() => Response.json({ token: TOKEN }));

    const token = await createAuth(base, { channel: null }).session.token();

    assert.equal(token, TOKEN);
    assert.deepEqual(asked, [[address, "include"]]);
  });

test("a 401 is the end of the session, and nothing else is", async () => {
  const ends: string[] = [];
  const server = service(() => Response.json({}, { status: 500 }));
  const auth = createAuth("https://x", { channel: null, onSignedOut: (how) => ends.push(how) });

  await assert.rejects(auth.session.token(), isProblem(500));
  server.answer = unreachable;
  await assert.rejects(auth.session.token(), isProblem(0));
  server.answer = () => new Response("<h1>Hotel Wi-Fi</h1>", { headers: { "content-type": "text/html" } });
  await assert.rejects(auth.session.token(), Problem);
  assert.deepEqual(ends, []);
  server.answer = () => Response.json({}, { status: 401 });
  const waiting = auth.session.token().catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 20));

  assert.deepEqual(ends, ["over"]);
  auth.session.signOut();
  await waiting;
});

test("a wrong password is told in the service's words", async () => {
  service(() => Response.json({ message: "Invalid email or password" }, { status: 401 }));
  const auth = createAuth("https://x", { channel: null });

  await assert.rejects(auth.signIn({ email: "ann@example.com", password: "x" }), {
    name: "Problem",
    status: 401,
    detail: "Invalid email or password",
  });
});

for (const [what, answer, user] of [
  ["is done", () => Response.json({ success: true }), null],
  ["without a session is done", () => Response.json({}, { status: 400 }), null],
  ["that nobody answers is not done, and says so", unreachable, "ann"],
  ["that is refused is not done, and says so", () => Response.json({}, { status: 429 }), "ann"],
] as const)
  test(`a sign-out ${what}`, async () => {
    const server = service(() => Response.json({ token: TOKEN }));
    const auth = createAuth("https://x", { channel: null });
    await auth.session.token();

    server.answer = answer;
    const done = auth.signOut();

    await (user === null ? done : assert.rejects(done, Problem));
    assert.equal(auth.session.user, user);
  });
