/** Serves Better Auth over HTTP: makes its tables, answers its routes, and finishes running requests before it stops. */

import { createServer } from "node:http";
import { getRequestListener, type HttpBindings } from "@hono/node-server";
import type { BetterAuthOptions } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import pg from "pg";
import { BODY_MAX, boundAddresses, CROSS_ORIGIN_HEADERS, EXPOSED_HEADERS } from "./address-limits.ts";
import { CLIENT_ADDRESS } from "./auth.ts";
import { requestReader, routesOf, sessionReader } from "./before-auth.ts";
import { boundConnections, boundPipelines, serverOptions } from "./connections.ts";
import { limitConsole } from "./log.ts";
import { leavePlace, untilEnd } from "./request-end.ts";
import { servePage } from "./serve-page.ts";
import type { Settings } from "./settings.ts";

/** Milliseconds that the server waits for PostgreSQL to start. `DATABASE_WAIT` is in seconds. */
const DATABASE_WAIT = Number(process.env["DATABASE_WAIT"] || "30") * 1000;
const DATABASE_TIMEOUT = 5_000; // milliseconds for a connection, and for a statement
const SIGN_UP_STEP = 500; // milliseconds; a response to a sign-up comes after a multiple of this

/** What `createApp` needs of Better Auth. */
interface Auth {
  readonly handler: (request: Request) => Promise<Response>;
  readonly options: BetterAuthOptions;
}

/** What `serve` needs of Better Auth. */
interface ServedAuth extends Auth {
  readonly api: object;
  readonly $context: Promise<{
    readonly secret: string;
    readonly authCookies: { readonly sessionToken: { readonly name: string } };
  }>;
}

/** Waits for the database, makes the tables, and serves until SIGTERM or SIGINT. */
export async function serve(settings: Settings, create: (database: pg.Pool) => ServedAuth): Promise<void> {
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
  const close = boundConnections(server, trustedProxies);
  server.on("error", (error: NodeJS.ErrnoException) => {
    const isPortUsed = error.code === "EADDRINUSE";
    const used = `AUTH_PORT ${settings.port} is used by another program: stop it, or choose another number`;
    console.error(isPortUsed ? used : error.message);
    process.exit(1);
  });
  const stop = () =>
    void close()
      .then(() => database.end())
      .then(() => process.exit(0));
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
}

/** Returns an application that answers the routes of Better Auth. */
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
    const { body, status, statusText, headers } = await untilEnd(() => auth.handler(withAddress(context, settings)));
    const answer = new Response(body, { status, statusText, headers });
    if (settings.verifyEmail && context.req.path === "/api/auth/sign-up/email") await hideTime(began);
    removeSessionToken(context.req.raw, answer);
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
 * Returns the request with the header `CLIENT_ADDRESS`, which Better Auth reads. The header has the address of the
 * socket. If there are trusted proxies, the addresses of `X-Forwarded-For` come before it. Better Auth takes the
 * rightmost address that is not one of the trusted proxies.
 */
function withAddress(context: Context<{ Bindings: HttpBindings }>, settings: Settings): Request {
  const peer = context.env.incoming.socket.remoteAddress ?? "";
  const chain = settings.trustedProxies.length > 0 ? context.req.header("x-forwarded-for") : undefined;
  const request = new Request(context.req.raw);
  request.headers.set(CLIENT_ADDRESS, chain ? `${chain}, ${peer}` : peer);
  return request;
}

/**
 * Removes the session token from a response to a page: the page's scripts cannot read the cookie, and must not read the
 * same token in a header. A page sends `origin` or `cookie`: Better Auth refuses a browser's sign-in without `origin`.
 */
function removeSessionToken({ headers }: Request, answer: Response): void {
  if (!headers.has("origin") && !headers.has("cookie")) return;
  answer.headers.delete("set-auth-token");
  answer.headers.delete("access-control-expose-headers"); // names only `set-auth-token`
}

/**
 * Waits until a sign-up has taken a multiple of `SIGN_UP_STEP`. A sign-up that makes an account takes longer, so
 * otherwise the time would show whether it made one.
 */
async function hideTime(began: number): Promise<void> {
  leavePlace();
  await new Promise((resolve) => setTimeout(resolve, restOfStep(performance.now() - began)));
}

/** Returns the milliseconds until the time of a sign-up is a multiple of `SIGN_UP_STEP`. */
export const restOfStep = (elapsed: number): number => SIGN_UP_STEP - (elapsed % SIGN_UP_STEP);

/** Makes and changes tables as Better Auth needs them. If that is necessary and `MIGRATE=0` forbids it, the server exits. */
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
  const deadline = Date.now() + DATABASE_WAIT;
  let isWaiting = false;
  for (;;) {
    try {
      await database.query("SELECT 1");
      return;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const isStarting = code === "ECONNREFUSED" || code === "57P03"; // cannot_connect_now
      if (!isStarting || Date.now() > deadline) {
        console.error(`DATABASE_URL cannot be used: ${message}`);
        process.exit(1);
      }
      if (!isWaiting) console.log(`waiting for the database: ${message}`);
      isWaiting = true;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}
