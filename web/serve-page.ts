/** Giving out the page that `npm run build` made: its files for ever, its HTML anew each time. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { HttpBindings } from "@hono/node-server";
import { serveStatic } from "@hono/node-server/serve-static";
import type { Hono } from "hono";
import type { Settings } from "./settings.ts";

const BUILT = join(import.meta.dirname, "dist");
const NOT_BUILT = "The page is not built: `npm run build` makes it. Better Auth is at /api/auth.\n";

type Shown = Pick<Settings, "apiUrl" | "verifyEmail">;

export function servePage(app: Hono<{ Bindings: HttpBindings }>, { apiUrl, verifyEmail }: Shown): void {
  const policy = [
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'",
    `connect-src 'self' ${new URL(apiUrl).origin}; form-action 'self'; frame-ancestors 'none'`,
  ].join("; ");
  const safe = {
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
  app.use(
    "/assets/*",
    serveStatic({
      root: BUILT,
      precompressed: true,
      onFound: (_, context) => context.header("cache-control", "public, max-age=31536000, immutable"),
    }),
  );
  app.get("/icon.svg", serveStatic({ root: BUILT }));
  app.get("/", (context) =>
    html === null ? context.text(NOT_BUILT) : context.html(html, 200, { ...safe, "cache-control": "no-cache" }),
  );
}
