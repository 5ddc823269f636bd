/**
 * Limits how many requests an address or an account may send, and how many run at once: of each one, and of all
 * together. These limits apply before Hono and Better Auth work on a request. Their own refusal takes 1 to 2 ms, so one
 * address that sends on after a refusal would keep everybody waiting. Better Auth answers 200 requests in a second, so
 * many addresses within their quotas would keep everybody waiting too. So addresses take turns, and requests with a
 * session go before most of those without. One session can be used from many addresses, so accounts take turns too.
 */

import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { isIP } from "node:net";
import type { Kind, RequestTraits } from "./before-auth.ts";
import { blockList, family, networkOf } from "./connections.ts";
import { RateLimiter } from "./rate-limiter.ts";
import { withPlace } from "./request-end.ts";

// Requests in 10 seconds.
const REQUESTS_MAX = { max: 500, window: 10 }; // of an address, for files of the page too
const AUTH_REQUESTS_MAX = { max: 150, window: 10 }; // of an address to Better Auth, also to paths that it does not have
const ACCOUNT_MAX = { max: 60, window: 10 }; // of an account to Better Auth: 30 tabs that open at once, two requests each
const AT_ONCE = 8; // requests of an address
const ACCOUNT_AT_ONCE = 2; // requests of an account, as a page load takes
const AUTH_AT_ONCE = 8; // requests of all addresses at Better Auth: more than its 5 connections to the database
const OTHERS_EVERY = 4; // turns: each fourth is for a request without a session, if both kinds wait
const WAITING_MAX = 100; // requests of an address, and as many of an account
export const BODY_MAX = 64 * 1024; // bytes

/** Headers that a page of a trusted origin may send. */
export const CROSS_ORIGIN_HEADERS = ["Content-Type", "Authorization"];

/** Headers of a refusal that a page of a trusted origin may read, beside those that every page may read. */
export const EXPOSED_HEADERS = "Retry-After, X-Retry-After";

const TOO_MANY = JSON.stringify({ message: "Too many requests. Please try again later." }); // Better Auth's own words

type QueuedKind = Exclude<Kind, "noRoute">;
type AuthKind = Exclude<QueuedKind, "page">;

/** An address or an account that has a request here. */
interface Sender {
  readonly key: string;
  readonly atOnce: number;
  running: number;
  waiting: number;
  /**
   * For each kind, the turn in which its last request began at Better Auth. Turns are numbered for all senders together.
   * Before its first turn: the number of the latest turn when its first request came.
   */
  readonly lastTurn: Record<AuthKind, number>;
  /** Its requests for files that wait, in the order in which they came. */
  readonly files: Set<QueuedRequest>;
}

/** A request that waits or runs. */
interface QueuedRequest {
  readonly kind: QueuedKind;
  /** The address that sends it, and the account if it has a session. */
  readonly senders: readonly Sender[];
  /** The queue in which it waits. */
  readonly queue: Set<QueuedRequest>;
  /** Whether it has one of the places at Better Auth. */
  hasPlace: boolean;
  readonly begin: () => void;
}

/** Returns a listener that refuses requests over the quota of their address or account, and passes on few others at once. */
export function boundAddresses(
  listener: RequestListener,
  trustedProxies: readonly string[],
  {
    quota = REQUESTS_MAX,
    authQuota = AUTH_REQUESTS_MAX,
    accountQuota = ACCOUNT_MAX,
    atOnce = AT_ONCE,
    accountAtOnce = ACCOUNT_AT_ONCE,
    authAtOnce = AUTH_AT_ONCE,
    waitingMax = WAITING_MAX,
    trustedOrigins = [] as readonly string[],
    read = (_: IncomingMessage): RequestTraits => ({ kind: "page" }),
  } = {},
): RequestListener {
  const counts = new RateLimiter();
  const places = new Places(authAtOnce);
  const clientOf = clientReader(trustedProxies);
  const origins = new Set(trustedOrigins);
  return (request, response) => {
    const client = clientOf(request);
    const { kind, account } = read(request);
    const accountKey = account === undefined ? null : `account ${account}`;
    const wait =
      counts.take(client, quota) ||
      (kind === "page" ? 0 : counts.take(`${client} auth`, authQuota)) ||
      (accountKey === null ? 0 : counts.take(accountKey, accountQuota));
    if (wait > 0) return refuse(request, response, wait, origins);
    if (kind === "noRoute") return answer(request, response, 404, {}, "", origins);
    const enter = () => {
      const begin = () => {
        if (!request.socket.destroyed)
          withPlace(
            () => places.leave(queued),
            () => listener(request, response),
          );
      };
      const address = places.senderOf(client, atOnce);
      const senders = accountKey === null ? [address] : [address, places.senderOf(accountKey, accountAtOnce)];
      const queue = kind === "page" ? address.files : places.waiting[kind];
      const queued: QueuedRequest = { kind, senders, queue, hasPlace: false, begin };
      const isMyTurn = places.take(queued);
      if (!isMyTurn && senders.some(({ waiting }) => waiting >= waitingMax))
        return refuse(request, response, 1, origins);
      whenOver(request, response, () => places.end(queued));
      if (isMyTurn) begin();
      else places.wait(queued);
    };
    if (kind === "page") enter();
    else whenBodyIsHere(request, enter);
  };
}

/**
 * Decides which requests run. A request for a file of the page waits only for requests of its own address. Requests to
 * Better Auth share few places. A free place goes to a request with a session, if one waits; each fourth place goes to a
 * request without one. Of several, it goes to the request whose address and account have both had no turn for the longest
 * time. So a request lets one request of each other address, and one of each other account, go before it. Only one
 * request begins in an iteration of the event loop. Better Auth answers many requests within one iteration, so many
 * together would make the iteration long, and a request that queries the database needs many iterations.
 */
class Places {
  readonly #authAtOnce: number;
  #taken = 0;
  #begun = 0;
  #isPlanned = false;
  readonly #senders = new Map<string, Sender>();
  /** The requests that wait for a place, in the order in which they came. */
  readonly waiting = { signedIn: new Set<QueuedRequest>(), others: new Set<QueuedRequest>() };

  constructor(authAtOnce: number) {
    this.#authAtOnce = authAtOnce;
  }

  /** Returns an address or an account. `#run` and `wait` remember it, until its last request here is over. */
  senderOf(key: string, atOnce: number): Sender {
    const lastTurn = { signedIn: this.#begun, others: this.#begun };
    return this.#senders.get(key) ?? { key, atOnce, running: 0, waiting: 0, lastTurn, files: new Set() };
  }

  /** Counts a request for a file as running, if its address may have one more. Returns whether it did. */
  take(request: QueuedRequest): boolean {
    if (request.kind !== "page" || !mayRun(request)) return false;
    this.#run(request);
    return true;
  }

  wait(request: QueuedRequest): void {
    for (const sender of request.senders) {
      sender.waiting += 1;
      this.#senders.set(sender.key, sender);
    }
    request.queue.add(request);
    this.#plan();
  }

  /** Call this when a request is over, or when its client has disconnected before its turn. */
  end(request: QueuedRequest): void {
    const hasRun = !this.#remove(request);
    for (const sender of request.senders) {
      if (hasRun) sender.running -= 1;
      const [file] = hasRun ? sender.files : [];
      if (file) {
        this.#remove(file);
        this.#run(file);
        setImmediate(file.begin); // so requests of others are read in between, even if each response ends at once
      }
      if (sender.running + sender.waiting === 0) this.#senders.delete(sender.key);
    }
    if (hasRun) this.leave(request);
  }

  /** Frees the place of a request that continues without it or is over. */
  leave(request: QueuedRequest): void {
    if (request.hasPlace) this.#taken -= 1;
    request.hasPlace = false;
    this.#plan();
  }

  /** Begins the next request in the next iteration of the event loop, and so on while one may begin. */
  #plan(): void {
    if (this.#isPlanned || this.#taken >= this.#authAtOnce) return;
    if (this.waiting.signedIn.size + this.waiting.others.size === 0) return;
    this.#isPlanned = true;
    setImmediate(() => {
      this.#isPlanned = false;
      const next = this.#next();
      if (next) this.#begin(next);
    });
  }

  #next(): [AuthKind, QueuedRequest] | undefined {
    const isForOthers = this.#begun % OTHERS_EVERY === OTHERS_EVERY - 1;
    for (const kind of isForOthers ? (["others", "signedIn"] as const) : (["signedIn", "others"] as const)) {
      let first: QueuedRequest | undefined;
      let earliest = Number.POSITIVE_INFINITY;
      for (const request of this.waiting[kind]) {
        const turn = Math.max(...request.senders.map(({ lastTurn }) => lastTurn[kind]));
        if (turn >= earliest || !mayRun(request)) continue;
        first = request;
        earliest = turn;
      }
      if (first) return [kind, first];
    }
    return undefined;
  }

  #begin([kind, request]: [AuthKind, QueuedRequest]): void {
    this.#remove(request);
    this.#run(request);
    request.hasPlace = true;
    this.#taken += 1;
    this.#begun += 1;
    for (const { lastTurn } of request.senders) lastTurn[kind] = this.#begun;
    request.begin();
    this.#plan();
  }

  #run({ senders }: QueuedRequest): void {
    for (const sender of senders) {
      sender.running += 1;
      this.#senders.set(sender.key, sender);
    }
  }

  /** Takes a request out of its queue. Returns whether it was there. */
  #remove(request: QueuedRequest): boolean {
    if (!request.queue.delete(request)) return false;
    for (const sender of request.senders) sender.waiting -= 1;
    return true;
  }
}

const mayRun = ({ senders }: QueuedRequest): boolean => senders.every(({ running, atOnce }) => running < atOnce);

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
    "x-retry-after": String(seconds), // clients of Better Auth read this one
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
 * Reads the body of a request to Better Auth, and then calls `enter`. So a body that does not arrive takes no place: Node
 * ends its request after `requestTimeout`. A body that is too large is not read further, and gets 413 later.
 */
function whenBodyIsHere(request: IncomingMessage & { rawBody?: Buffer }, enter: () => void): void {
  const { "content-length": length = "0", "transfer-encoding": coding } = request.headers;
  const isRead = request.method !== "GET" && request.method !== "HEAD"; // by Better Auth
  if (!isRead || (coding === undefined && length === "0") || Number(length) > BODY_MAX) {
    enter();
    return;
  }
  const chunks: Buffer[] = [];
  let left = BODY_MAX;
  const read = (chunk: Buffer) => {
    chunks.push(chunk);
    left -= chunk.length;
    if (left < 0) finish();
  };
  const finish = () => {
    request.off("data", read).off("end", finish).pause();
    request.rawBody = Buffer.concat(chunks); // which @hono/node-server takes as the body
    enter();
  };
  request.on("data", read).once("end", finish);
  request.on("error", () => undefined); // the client has disconnected, or was too slow
}

/**
 * Calls `end` once, when a response is sent or its connection has ended. When a connection ends, Node emits `close` for
 * the connection, and, during this event, for the response; but not for a response that waits behind an earlier one.
 */
function whenOver({ socket }: IncomingMessage, response: ServerResponse, end: () => void): void {
  let isOver = false;
  const over = () => {
    if (isOver) return; // `off` has no effect on a `close` that is being emitted
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
 * proxies. The function returns the network of this address. If there is no such address, it returns that of the last
 * proxy that it read.
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
      if (hop && (!isIP(hop) || hop.includes("%"))) break; // `BlockList` accepts no zone (`fe80::1%eth0`)
      client = hop || client;
      end = start - 1;
    }
    return networkOf(client);
  };
}
