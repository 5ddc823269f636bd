/**
 * Limits how many requests an address may send, and how many run at once, of one address and of all. This comes before
 * Hono and Better Auth work on a request: their own refusal takes 1 to 2 ms, so one address that goes on after it would
 * keep everybody waiting. Better Auth answers 200 requests in a second, so many addresses within their quotas would
 * keep everybody waiting too: addresses take turns, and requests with a session go before those without.
 */

import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { isIP } from "node:net";
import type { Kind } from "./before-auth.ts";
import { blockList, family, networkOf } from "./connections.ts";
import { RateLimiter } from "./rate-limiter.ts";
import { withPlace } from "./request-end.ts";

const REQUESTS_MAX = { max: 500, window: 10 }; // files of the page too
const AUTH_REQUESTS_MAX = { max: 150, window: 10 }; // to Better Auth, to paths that it does not have too
const AT_ONCE = 8; // requests of an address
const AUTH_AT_ONCE = 8; // requests of all addresses at Better Auth: more than its 5 connections to the database
const OTHERS_SHARE = 4; // each fourth turn is for a request without a session, if both kinds wait
const WAITING_MAX = 100; // requests of an address

/** Headers that a page of a trusted origin may send. */
export const CROSS_ORIGIN_HEADERS = ["Content-Type", "Authorization"];

/** Headers of a refusal that a page of a trusted origin may read, beside those that every page may read. */
export const EXPOSED_HEADERS = "Retry-After, X-Retry-After";

const TOO_MANY = JSON.stringify({ message: "Too many requests. Please try again later." }); // as Better Auth says it

type Runs = Exclude<Kind, "nowhere">;

interface Waiting {
  readonly line: Line;
  readonly kind: Runs;
  /** Whether it has one of the places at Better Auth. */
  hasPlace: boolean;
  readonly begin: () => void;
}

/** The requests of an address. Those that wait are in the order in which they came. */
interface Line {
  running: number;
  readonly waiting: Readonly<Record<Runs, Set<Waiting>>>;
}

/** Returns a listener that passes on as many requests of an address as it may send, and few at once. */
export function boundAddresses(
  listener: RequestListener,
  trustedProxies: readonly string[],
  {
    quota = REQUESTS_MAX,
    authQuota = AUTH_REQUESTS_MAX,
    atOnce = AT_ONCE,
    authAtOnce = AUTH_AT_ONCE,
    waitingMax = WAITING_MAX,
    trustedOrigins = [] as readonly string[],
    kindOf = (_: IncomingMessage): Kind => "page",
  } = {},
): RequestListener {
  const counts = new RateLimiter();
  const lines = new Map<string, Line>();
  const places = new Places(atOnce, authAtOnce);
  const clientOf = clientReader(trustedProxies);
  const origins = new Set(trustedOrigins);
  return (request, response) => {
    const client = clientOf(request);
    const kind = kindOf(request);
    const wait = counts.take(client, quota) || (kind === "page" ? 0 : counts.take(`${client} auth`, authQuota));
    if (wait > 0) return refuse(request, response, wait, origins);
    if (kind === "nowhere") return answer(request, response, 404, {}, "", origins);
    const line = lines.get(client) ?? {
      running: 0,
      waiting: { page: new Set(), signedIn: new Set(), others: new Set() },
    };
    const begin = () => {
      if (!request.socket.destroyed)
        withPlace(
          () => places.leave(mine),
          () => listener(request, response),
        );
    };
    const mine: Waiting = { line, kind, hasPlace: false, begin };
    const isMyTurn = places.take(mine);
    if (!isMyTurn && waitingOf(line) >= waitingMax) return refuse(request, response, 1, origins);
    lines.set(client, line);
    whenOver(request, response, () => {
      places.end(mine);
      if (line.running === 0 && waitingOf(line) === 0) lines.delete(client);
    });
    if (isMyTurn) begin();
    else places.wait(mine);
  };
}

const waitingOf = ({ waiting: { page, signedIn, others } }: Line): number => page.size + signedIn.size + others.size;

/**
 * Decides which requests run. A request for a file of the page waits only for requests of its own address. Requests to
 * Better Auth share few places. A free place goes to the address whose turn it is, first among addresses with a waiting
 * request that has a session. Only one request begins in a turn of the event loop. Better Auth answers many requests
 * without leaving the turn, so many together would make the turn long, and a request that queries the database needs
 * many turns.
 */
class Places {
  readonly #atOnce: number;
  readonly #authAtOnce: number;
  #taken = 0;
  #begun = 0;
  #isPlanned = false;
  /** The addresses that have a request waiting for a place, in the order of their turns. */
  readonly #turns = { signedIn: new Set<Line>(), others: new Set<Line>() };

  constructor(atOnce: number, authAtOnce: number) {
    this.#atOnce = atOnce;
    this.#authAtOnce = authAtOnce;
  }

  /** Counts a request as running if it need not wait. Returns whether that is so. */
  take({ line, kind }: Waiting): boolean {
    if (kind !== "page" || line.running >= this.#atOnce) return false;
    line.running += 1;
    return true;
  }

  wait(request: Waiting): void {
    const { line, kind } = request;
    line.waiting[kind].add(request);
    if (kind !== "page") this.#turns[kind].add(line);
    this.#plan();
  }

  /** A request is over, or its client has left before its turn. */
  end(request: Waiting): void {
    if (this.#remove(request)) return;
    const { line } = request;
    line.running -= 1;
    const [file] = line.waiting.page;
    if (file) {
      this.#run(file);
      setImmediate(file.begin); // requests of others are read in between: a response may end in this turn
    }
    this.leave(request);
  }

  /** Frees the place of a request that continues without it or is over. */
  leave(request: Waiting): void {
    if (request.hasPlace) this.#taken -= 1;
    request.hasPlace = false;
    this.#plan();
  }

  /** Begins the next request in the next turn of the loop, and so on while one may begin. */
  #plan(): void {
    if (this.#isPlanned || !this.#next()) return;
    this.#isPlanned = true;
    setImmediate(() => {
      this.#isPlanned = false;
      const next = this.#next();
      if (next) this.#begin(next);
      this.#plan();
    });
  }

  #next(): Waiting | undefined {
    if (this.#taken >= this.#authAtOnce) return undefined;
    const isForOthers = this.#begun % OTHERS_SHARE === OTHERS_SHARE - 1;
    for (const kind of isForOthers ? (["others", "signedIn"] as const) : (["signedIn", "others"] as const))
      for (const line of this.#turns[kind])
        if (line.running < this.#atOnce) {
          const [first] = line.waiting[kind];
          return first;
        }
    return undefined;
  }

  #begin(request: Waiting): void {
    this.#run(request);
    request.hasPlace = true;
    this.#taken += 1;
    this.#begun += 1;
    request.begin();
  }

  #run(request: Waiting): void {
    const { line, kind } = request;
    this.#remove(request);
    line.running += 1;
    if (kind !== "page" && this.#turns[kind].delete(line)) this.#turns[kind].add(line); // behind all others
  }

  /** Takes a request out of those that wait, if it is one of them. */
  #remove(request: Waiting): boolean {
    const { line, kind } = request;
    if (!line.waiting[kind].delete(request)) return false;
    if (kind !== "page" && line.waiting[kind].size === 0) this.#turns[kind].delete(line);
    return true;
  }
}

/**
 * Sends 429. A preflight from a trusted origin gets 204 instead, because a page cannot see the status of a preflight
 * that fails. The request after the preflight gets the 429.
 */
function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  seconds: number,
  origins: ReadonlySet<string>,
): void {
  const { origin } = request.headers;
  if (request.method === "OPTIONS" && origin !== undefined && origins.has(origin)) {
    allow(request, response, origins);
    response.setHeader("access-control-allow-headers", CROSS_ORIGIN_HEADERS.join(","));
    response.writeHead(204, { connection: "close" }).end();
    return;
  }
  const headers = {
    "content-type": "application/json",
    "retry-after": String(seconds),
    "x-retry-after": String(seconds), // which clients of Better Auth read
    connection: "close",
  };
  answer(request, response, 429, headers, TOO_MANY, origins);
}

/** Sends a fixed response, which a page of a trusted origin can read. This takes some tens of microseconds. */
function answer(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: string,
  origins: ReadonlySet<string>,
): void {
  if (allow(request, response, origins)) response.setHeader("access-control-expose-headers", EXPOSED_HEADERS);
  response.writeHead(status, {
    ...headers,
    "content-length": String(body.length),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(body);
}

/** Lets a page of a trusted origin read a response. Returns whether the request comes from one. */
function allow(
  { headers: { origin } }: IncomingMessage,
  response: ServerResponse,
  origins: ReadonlySet<string>,
): boolean {
  if (origins.size > 0) response.setHeader("vary", "Origin");
  if (origin === undefined || !origins.has(origin)) return false;
  response.setHeader("access-control-allow-origin", origin);
  response.setHeader("access-control-allow-credentials", "true");
  return true;
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
 * Returns a function that reads the client's address as Better Auth does: the rightmost address that is not one of our
 * proxies. The function returns the network of this address, or of the last proxy if that names no client.
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
      if (hop && (!isIP(hop) || hop.includes("%"))) break; // `BlockList` accepts no zone
      client = hop || client;
      end = start - 1;
    }
    return networkOf(client);
  };
}
