/**
 * How many requests an address may send, and how many of them run at once. This is decided before Hono and Better Auth
 * work on a request: their own refusal takes 1 to 2 ms, so one address that goes on after it would keep everybody waiting.
 */

import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { isIP } from "node:net";
import { blockList, family, networkOf } from "./connections.ts";
import { RateLimiter } from "./rate-limiter.ts";

const REQUESTS_MAX = { max: 500, window: 10 }; // files of the page too; Better Auth refuses more than 300 of its own
const AT_ONCE = 8; // requests
const WAITING_MAX = 100; // requests

/** Headers that a page of a trusted origin may send. */
export const CROSS_ORIGIN_HEADERS = ["Content-Type", "Authorization"];

const TOO_MANY = JSON.stringify({ message: "Too many requests. Please try again later." }); // as Better Auth says it

interface Line {
  running: number;
  /** What begins each request that waits, in the order in which they came. */
  readonly waiting: Set<() => void>;
}

/** Returns a listener that passes on as many requests of an address as it may send, and few at once. */
export function boundAddresses(
  listener: RequestListener,
  trustedProxies: readonly string[],
  { quota = REQUESTS_MAX, atOnce = AT_ONCE, waitingMax = WAITING_MAX, trustedOrigins = [] as readonly string[] } = {},
): RequestListener {
  const counts = new RateLimiter();
  const lines = new Map<string, Line>();
  const clientOf = clientReader(trustedProxies);
  const origins = new Set(trustedOrigins);
  return (request, response) => {
    const client = clientOf(request);
    const wait = counts.take(client, quota);
    if (wait > 0) return refuse(request, response, wait, origins);
    const line = lines.get(client) ?? { running: 0, waiting: new Set() };
    const isMyTurn = line.running < atOnce;
    if (!isMyTurn && line.waiting.size >= waitingMax) return refuse(request, response, 1, origins);
    lines.set(client, line);
    const begin = () => {
      if (!request.socket.destroyed) listener(request, response);
    };
    whenOver(request, response, () => {
      if (line.waiting.delete(begin)) return;
      const [next] = line.waiting;
      if (next) {
        line.waiting.delete(next);
        setImmediate(next); // requests of others are read in between: a response may end without a turn of the loop
      } else {
        line.running -= 1;
        if (line.running === 0) lines.delete(client);
      }
    });
    if (!isMyTurn) return line.waiting.add(begin);
    line.running += 1;
    begin();
  };
}

/**
 * A fixed response: it takes some tens of microseconds. A page of a trusted origin can read it. That page's preflight
 * succeeds, because the browser shows the page no status of a preflight that fails: the request behind it gets the 429.
 */
function refuse(
  { method, headers: { origin } }: IncomingMessage,
  response: ServerResponse,
  seconds: number,
  origins: ReadonlySet<string>,
): void {
  if (origins.size > 0) response.setHeader("vary", "Origin");
  if (origin !== undefined && origins.has(origin)) {
    response.setHeader("access-control-allow-origin", origin);
    response.setHeader("access-control-allow-credentials", "true");
    if (method === "OPTIONS") {
      response.setHeader("access-control-allow-headers", CROSS_ORIGIN_HEADERS.join(","));
      response.writeHead(204, { connection: "close" }).end();
      return;
    }
  }
  response.writeHead(429, {
    "content-type": "application/json",
    "content-length": String(TOO_MANY.length),
    "retry-after": String(seconds),
    "x-retry-after": String(seconds), // which clients of Better Auth read
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    connection: "close",
  });
  response.end(TOO_MANY);
}

/**
 * Calls `end` once, when a response is over. If the connection ends before it is this response's turn, only the
 * connection says so; else both do: Node emits the response's `close` during the connection's.
 */
function whenOver({ socket }: IncomingMessage, response: ServerResponse, end: () => void): void {
  let isOver = false;
  const over = () => {
    if (isOver) return; // to take a listener off has no effect on a `close` that is being emitted
    isOver = true;
    socket.off("close", over);
    response.off("close", over);
    end();
  };
  socket.once("close", over);
  response.once("close", over);
}

/**
 * Returns what reads the client's address, as Better Auth does: the rightmost address that is not one of our proxies.
 * The result is its network, or that of the proxy that names no address.
 */
export function clientReader(trustedProxies: readonly string[]): (request: IncomingMessage) => string {
  const proxies = blockList(trustedProxies);
  const isProxy = (address: string) => proxies.check(address, family(address));
  return ({ socket, headers }) => {
    let client = socket.remoteAddress ?? "";
    const chain = String(headers["x-forwarded-for"] ?? "");
    let end = chain.length;
    while (end > 0 && client && isProxy(client)) {
      const start = chain.lastIndexOf(",", end - 1) + 1;
      const hop = chain.slice(start, end).trim();
      if (hop && (!isIP(hop) || hop.includes("%"))) break; // a list of networks takes no zone
      client = hop || client;
      end = start - 1;
    }
    return networkOf(client);
  };
}
