/**
 * Reads three facts of a request before Better Auth works on it: whether Better Auth has the path, whether the session
 * token has our signature, and which account has the session. This takes some microseconds. Better Auth itself takes
 * milliseconds to refuse a path that it does not have.
 */

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

const BASE = "/api/auth";
const METHODS: readonly string[] = ["GET", "HEAD", "POST"]; // which `serve.ts` passes on to Better Auth
const MARK_LENGTH = 16; // characters of an account's mark, with which each of its session tokens begins

/** An endpoint in `auth.api`. */
interface Endpoint {
  readonly path?: string;
  readonly options?: { readonly method?: string | readonly string[] };
}

export type HasRoute = (method: string, path: string) => boolean;

/**
 * Returns a function that says whether Better Auth may have an endpoint for a request. If it returns false, there is
 * none. If it returns true, Better Auth decides: of a path with a parameter only the beginning is compared.
 */
export function routesOf(api: object, disabledPaths: readonly string[] = []): HasRoute {
  const fixed = new Set<string>();
  const beginnings: string[] = [];
  const add = (method: string, path: string) => {
    const [start = path, rest] = path.split(/[:*]/, 2);
    if (rest === undefined) fixed.add(`${method} ${path}`);
    else beginnings.push(`${method} ${start}`);
  };
  for (const { path, options } of Object.values(api) as readonly Endpoint[])
    if (path) for (const method of [options?.method ?? METHODS].flat()) add(method, path);
  for (const path of disabledPaths) for (const method of METHODS) add(method, path); // Better Auth's 404 for them has a body
  return (method, path) => {
    if (!path.startsWith(`${BASE}/`)) return false;
    const route = `${method} ${path.slice(BASE.length).replace(/\/+$/, "")}`;
    return fixed.has(route) || beginnings.some((beginning) => route.startsWith(beginning));
  };
}

/**
 * Returns a new session token with the mark of its account in front. An account can have any number of sessions, and
 * the mark shows, without a query, that they are of one account.
 */
export const markToken = (token: string, userId: string): string =>
  createHash("sha256").update(`${userId}`).digest("hex").slice(0, MARK_LENGTH) + token;

/**
 * Returns a function that reads the account's mark in the session token of a request: a bearer token or the cookie. The
 * function returns `null` if no token has our signature. The mark is used only for limits and the order of requests;
 * Better Auth checks whether the session has ended. A token of an older version has no mark, so it counts as an account
 * of its own.
 */
export function sessionReader(
  secret: string,
  cookieName: string,
): (headers: IncomingMessage["headers"]) => string | null {
  return ({ cookie, authorization }) => {
    const isOurs = (text: string) => isSigned(text, secret);
    return [bearerOf(authorization), cookieOf(cookie, cookieName)].find(isOurs)?.slice(0, MARK_LENGTH) ?? null;
  };
}

function bearerOf(header = ""): string {
  return header.slice(0, 7).toLowerCase() === "bearer " ? decode(header.slice(7).trim()) : "";
}

/** Returns the first cookie of a name, as Better Auth reads it. */
function cookieOf(header = "", name: string): string {
  for (const pair of header.includes(name) ? header.split(";") : []) {
    const end = pair.indexOf("=");
    if (end === -1 || pair.slice(0, end).trim() !== name) continue;
    const value = pair.slice(end + 1).trim();
    return decode(value.startsWith('"') ? value.slice(1, -1) : value);
  }
  return "";
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Whether a text is `value.signature`: the signature is the HMAC-SHA256 of the value, in base64 with its padding. */
function isSigned(text: string, secret: string): boolean {
  const dot = text.indexOf("."); // a signed session token has one dot; a signed device cookie has two, and must not pass
  const signature = text.slice(dot + 1);
  if (dot < 1 || signature.length !== 44) return false;
  const expected = createHmac("sha256", secret).update(text.slice(0, dot)).digest();
  try {
    const given = Buffer.from(atob(signature), "latin1"); // accepts the same texts as Better Auth
    return given.length === expected.length && timingSafeEqual(given, expected);
  } catch {
    return false;
  }
}

/**
 * The kind of a request. `signedIn` and `others` go to Better Auth, with and without a session. `noRoute` has a path
 * that Better Auth does not have. `page` is anything else, mostly a file of the page.
 */
export type Kind = "signedIn" | "others" | "noRoute" | "page";

/** What is known of a request before Better Auth works on it. */
export interface RequestTraits {
  readonly kind: Kind;
  /** The mark of the account that has the session. */
  readonly account?: string;
}

export function requestReader(
  hasRoute: HasRoute,
  accountOf: ReturnType<typeof sessionReader>,
): (request: IncomingMessage) => RequestTraits {
  return ({ method = "", url = "", headers }) => {
    const whole = url.startsWith("/") ? `http://localhost${url}` : url;
    const path = URL.canParse(whole) ? new URL(whole).pathname : "";
    const isOfAuth = [path, url].some((each) => withoutEscapes(each).startsWith(`${BASE}/`)); // Hono decodes escapes
    if (!isOfAuth || !METHODS.includes(method)) return { kind: "page" };
    if (!hasRoute(method, path)) return { kind: "noRoute" };
    const account = accountOf(headers);
    return account === null ? { kind: "others" } : { kind: "signedIn", account };
  };
}

const withoutEscapes = (path: string): string =>
  path.replace(/%([0-7][\da-f])/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
