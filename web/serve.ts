/** Serving Better Auth over HTTP: its tables, its routes, and a stop that finishes running requests. */

import { createServer } from "node:http";
import { getRequestListener, type HttpBindings } from "@hono/node-server";
import type { BetterAuthOptions } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import pg from "pg";
import { boundAddresses, CROSS_ORIGIN_HEADERS, EXPOSED_HEADERS } from "./address-limits.ts";
import { CLIENT_ADDRESS } from "./auth.ts";
import { requestReader, routesOf, sessionReader } from "./before-auth.ts";
import { boundConnections, boundPipelines, serverOptions } from "./connections.ts";
import { limitConsole } from "./log.ts";
import { leavePlace, untilEnd } from "./request-end.ts";
import { servePage } from "./serve-page.ts";
import type { Settings } from "./settings.ts";

const PATIENCE = Number(process.env["DATABASE_WAIT"] || "30") * 1000; // milliseconds for the database to be there

const DATABASE_TIMEOUT = 5_000; // milliseconds for a connection, and for a statement
const BODY_MAX = 64 * 1024; // bytes
const SIGN_UP_STEP = 500; // milliseconds

interface Auth {
  readonly handler: (request: Request) => Promise<Response>;
  readonly options: BetterAuthOptions;
}

interface WholeAuth extends Auth {
  readonly api: object;
  readonly $context: Promise<{
    readonly secret: string;
    readonly authCookies: { readonly sessionToken: { readonly name: string } };
  }>;
}

export async function serve(settings: Settings, create: (database: pg.Pool) => WholeAuth): Promise<void> {
  const database = new pg.Pool({
    connectionString: settings.databaseUrl,
    max: 5,
    connectionTimeoutMillis: DATABASE_TIMEOUT,
    // The client's own limit, since a pooler takes no `statement_timeout`; docs/operations.md sets that for the role.
    query_timeout: DATABASE_TIMEOUT,
  });
  database.on("error", (error) => console.error(`database: ${error.message}`));
  await waitForDatabase(database);
  const auth = create(database);
  await migrate(auth.options);

  const app = createApp(settings, auth);
  servePage(app, settings);

  const listener = getRequestListener(app.fetch);
  const { rateLimit, trustedProxies, trustedOrigins } = settings;
  const { secret, authCookies } = await auth.$context;
  const hasRoute = routesOf(auth.api, auth.options.disabledPaths);
  const read = requestReader(hasRoute, sessionReader(secret, authCookies.sessionToken.name));
  const bounded = rateLimit ? boundAddresses(listener, trustedProxies, { trustedOrigins, read }) : listener;
  const server = createServer(serverOptions, boundPipelines(bounded));
  server.listen(settings.port, "127.0.0.1", () => {
    console.log(`listening on http://127.0.0.1:${settings.port}`);
    limitConsole(); // not earlier, so the reason of a failed start is logged in full
  });
  boundConnections(server, trustedProxies);
  server.on("error", (error: NodeJS.ErrnoException) => {
    const used = error.code === "EADDRINUSE";
    console.error(used ? `AUTH_PORT ${settings.port} is used by another program: set it to another` : error.message);
    process.exit(1);
  });
  const stop = () => server.close(() => void database.end().then(() => process.exit(0)));
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
}

/** The routes of Better Auth. */
export function createApp(settings: Settings, auth: Auth): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>();
  app.use(
    "/api/auth/*",
    cors({
      origin: [...settings.trustedOrigins],
      credentials: true,
      allowHeaders: CROSS_ORIGIN_HEADERS,
    }),
  );
  app.use(
    "/api/auth/*",
    bodyLimit({ maxSize: BODY_MAX, onError: (context) => context.json({ message: "Too large" }, 413) }),
  );
  app.on(["GET", "POST"], "/api/auth/*", async (context) => {
    const began = performance.now();
    const answer = new Response(...parts(await untilEnd(() => auth.handler(withAddress(context, settings)))));
    if (settings.verifyEmail && context.req.path === "/api/auth/sign-up/email") await hideTime(began);
    withoutSessionToken(context.req.raw, answer);
    answer.headers.set("cache-control", "no-store");
    answer.headers.set("x-content-type-options", "nosniff");
    const wait = answer.headers.get("x-retry-after");
    if (wait) answer.headers.set("retry-after", wait); // the standard name (RFC 9110 §10.2.3)
    if (answer.headers.has("retry-after")) answer.headers.set("access-control-expose-headers", EXPOSED_HEADERS);
    return answer;
  });
  return app;
}

/**
 * The request with the client's address in our header, which Better Auth reads. It is the address of the socket. Behind
 * our proxies it is their chain of addresses. Better Auth takes the rightmost address that is not one of our proxies.
 */
function withAddress(context: Context<{ Bindings: HttpBindings }>, settings: Settings): Request {
  const peer = context.env.incoming.socket.remoteAddress ?? "";
  const chain = settings.trustedProxies.length > 0 ? context.req.header("x-forwarded-for") : undefined;
  const request = new Request(context.req.raw);
  request.headers.set(CLIENT_ADDRESS, chain ? `${chain}, ${peer}` : peer);
  return request;
}

const parts = (answer: Response): [BodyInit | null, ResponseInit] => [
  answer.body,
  { status: answer.status, statusText: answer.statusText, headers: answer.headers },
];

/**
 * Removes the session token from a response to a page: its scripts cannot read the cookie, and must not read the same
 * token in a header. Better Auth refuses a browser's sign-in without `origin`.
 */
function withoutSessionToken({ headers }: Request, answer: Response): void {
  if (!headers.has("origin") && !headers.has("cookie")) return;
  answer.headers.delete("set-auth-token");
  answer.headers.delete("access-control-expose-headers"); // it names nothing else
}

/** Waits for the end of a step, so the time does not show whether sign-up made an account: that takes longer. */
async function hideTime(began: number): Promise<void> {
  leavePlace();
  await new Promise((resolve) => setTimeout(resolve, restOfStep(performance.now() - began)));
}

/** Returns the milliseconds that are left of the step of sign-up. */
export const restOfStep = (elapsed: number): number => SIGN_UP_STEP - (elapsed % SIGN_UP_STEP);

/** With `MIGRATE=0` the server changes no table. If a table is missing, it exits. */
async function migrate(options: BetterAuthOptions): Promise<void> {
  const { toBeCreated, toBeAdded, runMigrations } = await getMigrations(options);
  const tables = [...toBeCreated, ...toBeAdded].map(({ table }) => table);
  if (tables.length > 0 && process.env["MIGRATE"] === "0") {
    console.error(`Better Auth has to make or change its tables ${tables.join(", ")}: allow it with MIGRATE=1`);
    process.exit(1);
  }
  await runMigrations();
}

async function waitForDatabase(database: pg.Pool): Promise<void> {
  const deadline = Date.now() + PATIENCE;
  let waits = false;
  for (;;) {
    try {
      await database.query("SELECT 1");
      return;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const notThereYet = code === "ECONNREFUSED" || code === "57P03";
      if (!notThereYet || Date.now() > deadline) {
        console.error(`DATABASE_URL cannot be used: ${message}`);
        process.exit(1);
      }
      if (!waits) console.log(`waiting for the database: ${message}`);
      waits = true;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}
