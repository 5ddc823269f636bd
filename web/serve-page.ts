/** Serves the page that `npm run build` made. Browsers keep scripts and style sheets for a year, and check the HTML each time. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { HttpBindings } from "@hono/node-server";
import type { Context, Hono } from "hono";
import { accepts } from "hono/accepts";
import { getMimeType } from "hono/utils/mime";
import type { Settings } from "./settings.ts";

const BUILT = join(import.meta.dirname, "dist");
const ICON = "/icon.svg";
const NOT_BUILT = "The page is not built: `npm run build` makes it. Better Auth is at /api/auth.\n";

type PageSettings = Pick<Settings, "apiUrl" | "baseUrl" | "verifyEmail">;

export function servePage(app: Hono<{ Bindings: HttpBindings }>, { apiUrl, baseUrl, verifyEmail }: PageSettings): void {
  const policy = [
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'",
    `connect-src 'self' ${new URL(apiUrl).origin}; form-action 'self'; frame-ancestors 'none'`,
  ].join("; ");
  const securityHeaders = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": policy,
  };
  let html: string | null;
  try {
    html = readFileSync(join(BUILT, "index.html"), "utf8")
      .replace("%API%", new URL(apiUrl).origin)
      .replace("%VERIFY%", verifyEmail ? "1" : "0");
  } catch {
    html = null;
  }
  const files = readBuilt();
  const sendFile = (context: Context) => {
    const file = files.get(context.req.path);
    if (file === undefined) return context.notFound();
    const encoding = accepts(context, {
      header: "Accept-Encoding",
      supports: [...file.bodies.keys()],
      default: "identity",
      match: smallest,
    });
    const body = file.bodies.get(encoding);
    if (body === undefined) return context.notFound();
    return context.body(body, 200, {
      "content-type": file.type,
      vary: "Accept-Encoding",
      ...(encoding !== "identity" && { "content-encoding": encoding }),
      ...(context.req.path !== ICON && { "cache-control": "public, max-age=31536000, immutable" }),
    });
  };
  app.get("/assets/*", sendFile);
  app.get(ICON, sendFile);
  const loopbackHosts = loopbackHostsOf(baseUrl);
  app.get("/", async (context, next) => {
    if (!loopbackHosts.has(context.req.header("host") ?? "")) return next();
    return context.redirect(new URL(`/${new URL(context.req.url).search}`, baseUrl).href);
  });
  app.get("/", (context) =>
    html === null
      ? context.text(NOT_BUILT)
      : context.html(html, 200, { ...securityHeaders, "cache-control": "no-cache" }),
  );
}

/**
 * Returns the values of `Host` that mean the same machine as `localhost`, if the page is at `localhost`. Requests with
 * these values are redirected: nobody could sign in there, because neither Better Auth nor the API trusts these origins.
 */
function loopbackHostsOf(baseUrl: string): ReadonlySet<string> {
  const { hostname, host } = new URL(baseUrl);
  const addresses = hostname === "localhost" ? ["127.0.0.1", "[::1]"] : [];
  return new Set(addresses.map((address) => host.replace("localhost", address)));
}

/** Returns the first encoding in `supports` that the client accepts. The encoding of the smallest file comes first there. */
const smallest: NonNullable<Parameters<typeof accepts>[1]["match"]> = (accepted, { supports, default: otherwise }) =>
  supports.find((encoding) => accepted.some(({ type, q }) => type === encoding && q > 0)) ?? otherwise;

interface BuiltFile {
  readonly type: string;
  readonly bodies: ReadonlyMap<string, Uint8Array<ArrayBuffer>>; // by their Content-Encoding, the smallest first
}

/**
 * Reads the built files into memory, by their paths. A file opened for each request would stay open if a client
 * disconnects before it has read the response.
 */
function readBuilt(): ReadonlyMap<string, BuiltFile> {
  const assets = existsSync(join(BUILT, "assets")) ? readdirSync(join(BUILT, "assets")) : [];
  const names = assets.filter((name) => !/\.(br|gz)$/.test(name)).map((name) => `/assets/${name}`);
  const icon = existsSync(join(BUILT, ICON)) ? [ICON] : [];
  return new Map([...names, ...icon].map((path) => [path, readFile(path)]));
}

function readFile(path: string): BuiltFile {
  const encodings = [
    ["br", ".br"],
    ["gzip", ".gz"],
    ["identity", ""],
  ] as const;
  const existing = encodings.filter(([, ending]) => existsSync(join(BUILT, path + ending)));
  const bodies = existing.map(
    ([encoding, ending]) => [encoding, new Uint8Array(readFileSync(join(BUILT, path + ending)))] as const,
  );
  return { type: getMimeType(path) ?? "application/octet-stream", bodies: new Map(bodies) };
}
