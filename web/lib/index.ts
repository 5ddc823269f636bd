/**
 * The task API for a front end. It gets and renews the tokens itself. Copy this folder to `lib/taskward/`:
 *
 *     const { api, session } = createTaskward({ auth: authClient, baseUrl: "https://tasks.example.com" });
 *     const task = await api.create({ title: "Water the plants" });
 *     for await (const each of api.all({ completed: false })) console.log(each.title);
 *
 * Every function of `api` takes a `signal` that cancels the call. Calls reject with a `Problem`, or with the reason of
 * the signal. A `TypeError` or a `ReferenceError` shows a bug. No function throws before it returns its promise.
 *
 * This is one file on purpose, because no import of a second one works everywhere: TypeScript's `nodenext` requires
 * "./x.js", by which Next.js does not find x.ts, and Node itself requires "./x.ts". Types are not imported at run time.
 */

import type { components, operations } from "./openapi.js";

type Schemas = components["schemas"];
type Json<Name extends keyof operations> = operations[Name] extends {
  responses: { 200: { content: { "application/json": infer Body } } };
}
  ? Body
  : never;

export type Task = Schemas["Task"];
export type NewTask = Schemas["TaskCreate"];
export type TaskPatch = Schemas["TaskPatch"];
export type TaskUpdate = Schemas["TaskUpdate"];
export type BatchOperation = Schemas["Batch"]["operations"][number];
export type BatchResults = Schemas["BatchResults"];
export type Summary = Json<"summarizeTasks">;
/** A task that changed, in its current state, also if it is in the trash. `task: null`: it was deleted permanently. */
export type Change = Schemas["Change"];
/** Filters, `sort` and `limit` of a list. */
export type ListQuery = Omit<NonNullable<operations["listTasks"]["parameters"]["query"]>, "cursor">;

// ---------------------------------------------------------------------------------------------------------- problems

const PROBLEM_TYPES = [
  // The API's own: each has a page at `uri`.
  "answer-gone",
  "answers-not-taken",
  "bodies-under-way",
  "changes-gone",
  "database-not-set-up",
  "database-unavailable",
  "if-match-required",
  "invalid-request",
  "key-in-flight",
  "key-reused",
  "keys-unavailable",
  "not-authenticated",
  "not-in-trash",
  "not-yours",
  "outcome-unknown",
  "search-too-slow",
  "summary-too-slow",
  "task-changed",
  "task-not-found",
  "too-busy",
  "too-many-at-once",
  "too-many-keys",
  "too-many-requests",
  "too-many-streams",
  "too-many-tasks",
  // This client's.
  "not-understood", // a success that the API did not send, such as the page of a captive portal
  "offline", // no response arrived
  "other-user", // somebody else than the user of the screen is signed in: nothing was sent
  "sign-in-unavailable", // Better Auth failed, so there is no token
  "signed-out", // nobody is signed in
  "timeout", // no response arrived in time
  // Any other: see `status`.
  "other",
] as const;
export type ProblemType = (typeof PROBLEM_TYPES)[number];

/** A validation error. `pointer` is its place: an RFC 6901 pointer into the body, or `/name` of a parameter or a header. */
export interface FieldError {
  readonly pointer: string;
  readonly detail: string;
  readonly in?: string;
}

export interface ProblemFields {
  readonly type: ProblemType;
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly uri?: string;
  readonly errors?: readonly FieldError[];
  readonly retryAfter?: number | null;
  readonly requestId?: string | null;
}

/**
 * The error of a call (RFC 9457). Branch on `type` or `status`; show `detail` to people. If `baseUrl` or `auth` is
 * wrong, or your function `auth` has a bug, a call rejects with a `TypeError` or a `ReferenceError` instead.
 */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly type: ProblemType;
  /** The address of a page about this type of problem. */
  readonly uri: string;
  /** The HTTP status; 0 if no response arrived. */
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly errors: readonly FieldError[];
  /** Seconds to wait before another attempt, if the server says so. */
  readonly retryAfter: number | null;
  /** The id of the request in the server's log. */
  readonly requestId: string | null;

  constructor(fields: ProblemFields, cause?: unknown) {
    super(fields.detail, cause === undefined ? undefined : { cause });
    this.type = fields.type;
    this.uri = fields.uri ?? `urn:taskward:client:${fields.type}`;
    this.status = fields.status;
    this.title = fields.title;
    this.detail = fields.detail;
    this.errors = fields.errors ?? [];
    this.retryAfter = fields.retryAfter ?? null;
    this.requestId = fields.requestId ?? null;
  }

  /** All fields, for a log or for a page. A plain `Error` would become `{}`. */
  toJSON(): Required<ProblemFields> {
    const { type, uri, status, title, detail, errors, retryAfter, requestId } = this;
    return { type, uri, status, title, detail, errors, retryAfter, requestId };
  }

  /** The same problem as a response of your own server. */
  toResponse(): Response {
    const isError = this.status >= 400 && this.status < 600; // not the page of a captive portal with 200
    const status = isError ? this.status : this.type === "timeout" ? 504 : 502;
    const headers = new Headers({ "content-type": "application/problem+json", "cache-control": "no-store" });
    if (this.retryAfter !== null) headers.set("retry-after", String(this.retryAfter));
    const { uri: type, title, detail, errors, requestId: request_id } = this;
    return new Response(JSON.stringify({ type, title, status, detail, errors, request_id }), { status, headers });
  }
}

export const isProblem = (error: unknown): error is Problem => error instanceof Problem;

/** Nobody is signed in: ask the person to sign in. */
export const isSignedOut = (error: unknown): error is Problem => isProblem(error) && error.type === "signed-out";

/** Somebody else than the user of the screen is signed in: nothing was sent. */
export const isOtherUser = (error: unknown): error is Problem => isProblem(error) && error.type === "other-user";

/** The task has changed since it was read: nothing was written. Read it again, and show both versions. */
export const isConflict = (error: unknown): error is Problem => isProblem(error) && error.type === "task-changed";

/** The copy is too old to update: read all changes without a token, and forget tasks that are not among them. */
export const isCopyTooOld = (error: unknown): error is Problem => isProblem(error) && error.type === "changes-gone";

/** The request is not valid: `errors` has every error with its place. */
export const isInvalid = (error: unknown): error is Problem => isProblem(error) && error.type === "invalid-request";

/** No response arrived: the device is offline, or the server is down or does not respond. */
export const isOffline = (error: unknown): error is Problem => isProblem(error) && error.status === 0;

const signedOut = (cause?: unknown): Problem =>
  new Problem({ type: "signed-out", status: 401, title: "Signed out", detail: "Sign in to go on." }, cause);

const otherUser = (): Problem =>
  new Problem({
    type: "other-user",
    status: 403,
    title: "Somebody else is signed in",
    detail: "Nothing was sent: somebody else is signed in now.",
  });

const offline = (cause: unknown): Problem =>
  new Problem(
    {
      type: "offline",
      status: 0,
      title: "No connection",
      detail: "The server cannot be reached: check the connection, and try again.",
    },
    cause,
  );

/**
 * Returns the error with which calls reject if a developer set a wrong address; `null` if the address is right. Without
 * this check calls would reject as if the server were down. `mayBeRelative`: the address may lack the origin.
 */
function mistakeIn(name: string, address: unknown, { mayBeRelative }: { mayBeRelative: boolean }): TypeError | null {
  const isAbsolute = typeof address === "string" && /^https?:\/\/[^/?#]/i.test(address);
  const isRelative = typeof address === "string" && !/^[a-z][a-z\d+.-]*:/i.test(address);
  if (isAbsolute || (isRelative && mayBeRelative)) return null;
  const shown = typeof address === "string" ? JSON.stringify(address) : String(address);
  return new TypeError(`\`${name}\` is ${shown}: set it to an address that begins with http:// or https://`);
}

const timedOut = (): Problem =>
  new Problem({ type: "timeout", status: 0, title: "No answer", detail: "The server does not answer: try again." });

const notUnderstood = (status: number, cause?: unknown): Problem =>
  new Problem(
    {
      type: "not-understood",
      status,
      title: "Not understood",
      detail: "The answer is not one of the task API: check the connection, and try again.",
    },
    cause,
  );

const signInUnavailable = (
  status: number,
  retryAfter: number | null = null,
  cause?: unknown,
  detail = "The sign-in service does not answer as it should: try again.",
): Problem => new Problem({ type: "sign-in-unavailable", status, title: "Sign-in service", detail, retryAfter }, cause);

/** Makes a problem of a response that is not a success. The response may be HTML, cut off, or empty. */
function problemOf(answer: Answer): Problem {
  const body = parseObject(answer.text) ?? {};
  const text = (name: string, otherwise: string): string => {
    const value = body[name];
    return typeof value === "string" && value !== "" ? value : otherwise;
  };
  const uri = text("type", "about:blank");
  const slug = uri.slice(uri.lastIndexOf("/") + 1);
  return new Problem({
    type: PROBLEM_TYPES.find((type) => type === slug) ?? "other",
    uri,
    status: answer.status,
    title: text("title", answer.statusText || `Status ${answer.status}`),
    detail: text("detail", "The server answered something that cannot be understood: try again in a moment."),
    errors: Array.isArray(body["errors"]) ? (body["errors"] as FieldError[]) : [],
    retryAfter: seconds(answer.headers.get("retry-after")),
    requestId: answer.headers.get("x-request-id"),
  });
}

/** Reads `Retry-After` in seconds. A date (RFC 9110 §10.2.3) is ignored: the device's clock may be wrong. */
function seconds(header: string | null): number | null {
  return header !== null && /^\d{1,6}$/.test(header.trim()) ? Number(header) : null;
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === "object" && body !== null ? (body as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

// -------------------------------------------------------------------------------------------------------------- tasks

export interface Page {
  readonly tasks: Task[];
  /** The cursor of the next page; `null`: this is the last page. */
  readonly next: string | null;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface WriteOptions extends CallOptions {
  /** The version that you read. If the task has another one now, the call rejects with a conflict. */
  readonly ifVersion?: number | undefined;
}

/** Changes since a token: `for await (const { id, task } of changes)`. A change may come again. After a 410, begin with an empty copy. */
export interface Changes extends AsyncIterable<Change> {
  /** The token of your copy after the loop: store it, and pass it to the next `api.changes(since)`. */
  readonly since: string | null;
}

export interface LiveOptions extends CallOptions {
  /** The token of your copy. Without a token, changes come from now on; with `onAll`, all tasks come first. */
  readonly since?: string | null | undefined;
  /** Called if there is no copy, or it is too old to update. Replace it by these tasks: all, those in the trash too. */
  readonly onAll?: ((tasks: Task[]) => void) | undefined;
  /** Without `onAll`: called if changes may have been missed, and at the beginning without `since`. Read again what you show. */
  readonly onResync?: (() => void) | undefined;
  /** Every change before this token has been passed on: store it with your copy. */
  readonly onSince?: ((since: string) => void) | undefined;
  /** Whether changes arrive at once. False: there is no stream, or the server does not get every change now. */
  readonly onLive?: ((isLive: boolean) => void) | undefined;
}

interface RequestOptions extends WriteOptions {
  readonly query?: Record<string, unknown>;
  readonly body?: unknown;
  readonly contentType?: string;
  /** Makes the request safe to repeat: the server sends the first response again. */
  readonly key?: string;
}

/** A response whose whole body has been read. */
interface Answer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Headers;
  readonly text: string;
}

interface ApiOptions {
  readonly baseUrl: string;
  readonly tokens: Tokens;
  readonly timeout: number;
  readonly init?: RequestInit;
  readonly fetch?: typeof fetch | undefined;
  readonly sleep?: ((milliseconds: number) => Promise<void>) | undefined;
}

/** The tokens of the requests, and their user. */
interface Tokens {
  /** The user of a request that begins now; `null`: the person who is signed in. */
  readonly user: string | null;
  /** Returns a token of this user that is valid for a while. Rejects if somebody else is signed in. */
  get(user: string | null, options: { signal?: AbortSignal | undefined; isWrite: boolean }): Promise<string>;
  /** Called when the API refused this token. The token is not used again. */
  refuse(token: string): void;
  /** Called when the API refused a new token too: the session is over, unless there is a newer token. Throws if calls do not wait. */
  expire(token: string, cause: Problem): void;
}

const ATTEMPTS = 4;
const PAUSE = 500; // milliseconds before the second attempt; doubled each time
const PAUSE_MAX = 10_000; // milliseconds; instead of a longer pause, the call rejects
const IDEMPOTENT = ["GET", "PUT", "DELETE"]; // RFC 9110 §9.2.2
const DIRECT = { redirect: "manual" } as RequestInit; // Cloudflare Workers have no "error"; React Native's types no `redirect`

export type Api = ReturnType<typeof createApi>;

function createApi({ baseUrl, tokens, timeout, init: common = {}, ...options }: ApiOptions) {
  const send: typeof fetch = options.fetch ?? ((input, init) => fetch(input, init));
  const sleep = options.sleep ?? ((milliseconds) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds)));
  // Your own `fetch` may understand a relative address where there is no page.
  const mayBeRelative = globals.location !== undefined || options.fetch !== undefined;
  const mistake = mistakeIn("baseUrl", baseUrl, { mayBeRelative });
  const base = `${String(baseUrl).replace(/\/+$/, "")}/api/me/tasks`;

  /** Sends a request once. Returns the response with any status; throws a `Problem` if none arrived. */
  async function attemptOnce(
    method: string,
    path: string,
    token: string,
    options: RequestOptions,
    limit: number,
  ): Promise<Answer> {
    const headers = new Headers({ accept: "application/json", authorization: `Bearer ${token}` });
    if (options.body !== undefined) headers.set("content-type", options.contentType ?? "application/json");
    if (options.ifVersion !== undefined) headers.set("if-match", `"${options.ifVersion}"`);
    if (options.key) headers.set("idempotency-key", `"${options.key}"`);
    const init: RequestInit = { ...common, ...DIRECT, method, headers, credentials: "omit" };
    if (options.body !== undefined) init.body = JSON.stringify(options.body);
    const url = base + path + queryString(options.query);
    try {
      return await withTimeout(limit, options.signal, async (signal) => {
        const response = await send(url, { ...init, signal });
        const { status, statusText, headers } = response;
        // A page sees a redirect as status 0. It is not followed: the token would go elsewhere.
        if (status === 0 || (status >= 300 && status < 400)) throw new Error("The answer is a redirect.");
        return { status, statusText, headers, text: await response.text() };
      });
    } catch (error) {
      throwIfAborted(options.signal);
      throw isProblem(error) ? error : offline(error);
    }
  }

  /** Sends with a token. After a 401 it uses a new token; a second 401 means that the session is over. */
  async function sendAuthorized<T extends Answer>(
    user: string | null,
    options: { signal?: AbortSignal | undefined; isWrite: boolean },
    attempt: (token: string) => Promise<T>,
  ): Promise<T> {
    for (let refused = 0; ; ) {
      const token = await tokens.get(user, options);
      if (mistake) throw mistake; // after `get`, which rejects with `signed-out` while a server renders a page
      const answer = await attempt(token);
      if (answer.status !== 401) return answer;
      tokens.refuse(token);
      refused += 1;
      if (refused === 2) {
        tokens.expire(token, problemOf(answer));
        refused = 0;
      }
    }
  }

  /** Sends a request. Repeats it while the server is busy or away, if that is safe. */
  async function request(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const user = tokens.user; // the request is not sent for a person who signs in later
    const isWrite = method !== "GET";
    const isRepeatable = IDEMPOTENT.includes(method) || options.key !== undefined;
    // If the response to a conditional write is lost, its repetition is refused, as if somebody else had written.
    const isConditional = options.ifVersion !== undefined && options.key === undefined;
    let left = timeout; // the time that a person takes to sign in does not count

    const attemptWith = (token: string) => {
      const began = now();
      return attemptOnce(method, path, token, options, Math.min(left, timeout / 2)).finally(() => {
        left -= now() - began;
      });
    };

    for (let attempt = 1; ; attempt += 1) {
      const result = await sendAuthorized(user, { signal: options.signal, isWrite }, attemptWith).catch(
        (error: unknown) => {
          if (isProblem(error) && (hasNoResponse(error) || isBusy(error))) return error;
          throw error;
        },
      );
      if (!isProblem(result) && (isSuccess(result) || isGone(method, result, attempt))) return result;
      const problem = isProblem(result) ? result : problemOf(result);
      const pause = (problem.retryAfter ?? 0) * 1000 || PAUSE * 2 ** (attempt - 1);
      const isWorthIt = isOutcomeUnknown(problem) ? !isConditional : isBusy(problem);
      if (!isWorthIt || !isRepeatable || attempt === ATTEMPTS || pause > Math.min(PAUSE_MAX, left)) throw problem;
      left -= pause;
      await race(sleep(pause), options.signal);
    }
  }

  async function read<T>(method: string, path: string, options?: RequestOptions): Promise<T> {
    return bodyOf<T>(await request(method, path, options));
  }

  /** A page of tasks, newest first unless `sort` says otherwise. `cursor` is the `next` of the page before. */
  async function list(query: ListQuery & { cursor?: string } = {}, { signal }: CallOptions = {}): Promise<Page> {
    const answer = await request("GET", "", { query, signal });
    const tasks = bodyOf<Task[]>(answer);
    if (!Array.isArray(tasks)) throw notUnderstood(answer.status);
    return { tasks, next: nextOf(answer) };
  }

  async function readChanges(since: string | null, { signal, limit }: ChangesOptions): Promise<ChangesPage> {
    const answer = await request("GET", "/changes", { query: { since, limit }, signal });
    const page = bodyOf<ChangesPage>(answer);
    if (!Array.isArray(page.changes) || typeof page.next !== "string") throw notUnderstood(answer.status);
    return page;
  }

  /** Opens an event stream, which ends when the signal is aborted. */
  async function openStream(user: string | null, since: string, signal: AbortSignal): Promise<StreamAnswer> {
    const url = `${base}/events${queryString({ since })}`;
    return sendAuthorized(user, { signal, isWrite: false }, async (token) => {
      const headers = new Headers({ accept: EVENT_STREAM, authorization: `Bearer ${token}` });
      const init: RequestInit = { ...common, ...DIRECT, headers, credentials: "omit", signal };
      try {
        return await withTimeout(timeout / 2, signal, async () => {
          const response = await send(url, init);
          const { status, statusText, headers } = response;
          if (status === 0 || (status >= 300 && status < 400)) throw new Error("The answer is a redirect.");
          const isStream = status === 200 && (headers.get("content-type") ?? "").startsWith(EVENT_STREAM);
          const { body } = response as { body?: ByteStream | null }; // React Native's types, and its `fetch`, have none
          const text = isStream ? "" : await response.text();
          return {
            status,
            statusText,
            headers,
            text,
            body: (isStream && body) || null,
            refuse: () => tokens.refuse(token),
          };
        });
      } catch (error) {
        throwIfAborted(signal);
        throw isProblem(error) ? error : offline(error);
      }
    });
  }

  const feed: Feed = {
    address: base,
    read: readChanges,
    sleep,
    async userOf(user, signal) {
      await tokens.get(user, { signal, isWrite: false });
      return tokens.user;
    },
    async open(user, since, signal) {
      const opened = await openStream(user, since, signal);
      if (opened.body) return { body: opened.body, refuse: opened.refuse };
      throw isSuccess(opened) ? notUnderstood(opened.status) : problemOf(opened);
    },
  };

  return {
    list,

    /** Every task, page by page: `for await (const task of api.all())`. */
    async *all(query: ListQuery = {}, options: CallOptions = {}): AsyncGenerator<Task, void, undefined> {
      let cursor: string | null = null;
      do {
        const page: Page = await list(cursor === null ? query : { ...query, cursor }, options);
        yield* page.tasks;
        cursor = page.next;
      } while (cursor !== null);
    },

    /** Creates a task. It has a key, so it is created once. To try again later, pass the same key. */
    create: async (task: NewTask, { signal, key = newKey() }: CallOptions & { key?: string } = {}): Promise<Task> =>
      read("POST", "", { body: task, key, signal }),

    /** Reads one task. */
    get: async (id: string, { signal }: CallOptions = {}): Promise<Task> => read("GET", pathOf(id), { signal }),

    /** Changes the given fields; `null` clears one. */
    update: async (id: string, changes: TaskPatch, options: WriteOptions = {}): Promise<Task> =>
      read("PATCH", pathOf(id), { ...options, body: changes, contentType: "application/merge-patch+json" }),

    /** Sends back a whole task that you read and changed. */
    replace: async (id: string, task: TaskUpdate, options: WriteOptions = {}): Promise<Task> =>
      read("PUT", pathOf(id), { ...options, body: task }),

    /** Completes or reopens a task; without `completed` it is toggled, and a second call toggles it back. */
    complete: async (id: string, completed?: boolean, options: WriteOptions = {}): Promise<Task> =>
      read("PATCH", `${pathOf(id)}/complete`, {
        ...options,
        key: newKey(),
        ...(completed === undefined ? {} : { body: { completed } }),
      }),

    /** Moves a task to the trash, or deletes it permanently. */
    remove: async (id: string, options: WriteOptions & { permanent?: boolean } = {}): Promise<void> => {
      const { permanent, ...rest } = options;
      const answer = await request("DELETE", pathOf(id), { ...rest, ...(permanent ? { query: { permanent } } : {}) });
      if (answer.status === 200) throw notUnderstood(answer.status);
    },

    /** Takes a task out of the trash. */
    restore: async (id: string, options: WriteOptions = {}): Promise<Task> =>
      read("POST", `${pathOf(id)}/restore`, options),

    /** Moves a task right before or after another in the manual order (`sort: "position"`). */
    move: async (id: string, to: { before: string } | { after: string }, options: WriteOptions = {}): Promise<Task> =>
      read("POST", `${pathOf(id)}/move`, { ...options, body: to }),

    /** Runs up to 100 operations, all or none. An error names its operation. A second call runs all again. */
    batch: async (operations: BatchOperation[], { signal }: CallOptions = {}): Promise<BatchResults> =>
      read("POST", "/batch", { body: { operations }, key: newKey(), signal }),

    /** What changed since a token, in the order of the changes; without one all tasks. A 410 is `isCopyTooOld`. */
    changes: (since?: string | null, options?: ChangesOptions): Changes => new ChangesReader(feed, since, options),

    /**
     * Passes on each change as it happens, here or elsewhere, until the signal is aborted. Rejects like any call if
     * nobody is signed in. The pages of one browser share a stream. A hidden page closes it after a minute.
     */
    live: async (onChange: (change: Change) => void, options: LiveOptions = {}): Promise<never> =>
      new Live(feed, onChange, options).run(),

    /** Counts tasks: open, done, overdue, due today in a time zone, and by tag. */
    summary: async (tz: string, { signal }: CallOptions = {}): Promise<Summary> =>
      read("GET", "/summary", { query: { tz }, signal }),
  };
}

const pathOf = (id: string): string => `/${encodeURIComponent(id)}`;

/** Makes a key for a request that may be repeated. It must be unique, but not secret. */
export function newKey(): string {
  const bytes = new Uint8Array(16);
  // Pages on plain http have no `crypto.randomUUID`, and React Native has no `crypto`.
  if (globals.crypto) globals.crypto.getRandomValues(bytes);
  else for (let index = 0; index < bytes.length; index += 1) bytes[index] = Math.floor(Math.random() * 256);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function bodyOf<T>(answer: Answer): T {
  const body = parseObject(answer.text);
  if (body === null) throw notUnderstood(answer.status);
  return body as T;
}

const isSuccess = ({ status }: Answer): boolean => status >= 200 && status < 300;

/** Whether a repeated DELETE found nothing because the first one was done and only its response was lost. */
function isGone(method: string, { status }: Answer, attempt: number): boolean {
  return method === "DELETE" && attempt > 1 && status === 404;
}

const hasNoResponse = (problem: Problem): boolean => problem.status === 0;

/** Whether waiting helps: too many requests, a server that is down, or another request with this key is running. */
function isBusy({ status, retryAfter }: Problem): boolean {
  return status === 429 || status === 503 || (status === 409 && retryAfter !== null);
}

/** Whether a write may or may not have been done. */
function isOutcomeUnknown(problem: Problem): boolean {
  return hasNoResponse(problem) || problem.type === "outcome-unknown";
}

function queryString(query: Record<string, unknown> = {}): string {
  const pairs: string[] = [];
  for (const [name, value] of Object.entries(query))
    for (const each of Array.isArray(value) ? (value as unknown[]) : [value])
      if (each !== undefined && each !== null) pairs.push(`${name}=${encodeURIComponent(String(each))}`);
  return pairs.length > 0 ? `?${pairs.join("&")}` : "";
}

/** Reads the cursor of `Link: <…?cursor=…>; rel="next"` (RFC 8288). React Native's `URL` cannot. */
function nextOf({ headers }: Answer): string | null {
  const target = /<([^>]*)>;\s*rel="?next"?/.exec(headers.get("link") ?? "")?.[1] ?? "";
  const cursor = /[?&]cursor=([^&#]*)/.exec(target)?.[1];
  return cursor === undefined ? null : decodeURIComponent(cursor.replace(/\+/g, " "));
}

// --------------------------------------------------------------------------------------------------------- live changes

export interface ChangesOptions extends CallOptions {
  /** How many changes a page has at most. 200 is the default and the maximum. */
  readonly limit?: number | undefined;
}

type ChangesPage = Schemas["Changes"];

/** The parts of a `ReadableStream` that are used here. */
interface ByteStream {
  getReader(): { read(): Promise<{ done: boolean; value?: unknown }>; cancel(): Promise<void> };
}

interface StreamAnswer extends Answer {
  readonly body: ByteStream | null;
  /** Called if the stream ended because its token expired. The token is not used again. */
  readonly refuse: () => void;
}

/** The part of the API that following the changes uses. */
interface Feed {
  readonly address: string;
  readonly sleep: (milliseconds: number) => Promise<void>;
  /** Checks that nobody else than this user is signed in, and returns the user; `null` where there is no page. */
  readonly userOf: (user: string | null, signal: AbortSignal) => Promise<string | null>;
  readonly read: (since: string | null, options: ChangesOptions) => Promise<ChangesPage>;
  readonly open: (
    user: string | null,
    since: string,
    signal: AbortSignal,
  ) => Promise<{ body: ByteStream; refuse: () => void }>;
}

const EVENT_STREAM = "text/event-stream";
const NOW = "now";
const SILENCE = 40_000; // milliseconds without a byte, after which a stream is dead: the server sends one each 15 s
const HIDDEN = 60_000; // milliseconds for which a hidden page keeps its stream
const RETRY = 1_000; // milliseconds before the first new attempt; doubled each time; the server may set another
const RETRY_MAX = 30_000; // milliseconds

class ChangesReader implements Changes {
  since: string | null;
  readonly #feed: Feed;
  readonly #options: ChangesOptions;

  constructor(feed: Feed, since?: string | null, options?: ChangesOptions | null) {
    this.#feed = feed;
    this.since = since ?? null;
    this.#options = options ?? {};
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Change, void, undefined> {
    let page: ChangesPage;
    do {
      page = await this.#feed.read(this.since, this.#options);
      yield* page.changes;
      this.since = page.next; // after the page's last change: a loop that was left earlier gets the whole page again
    } while (page.more);
  }
}

/** What the page with the stream sends to the others: its token, and the changes since its previous token, `from`. */
interface Step {
  readonly at: string;
  readonly from?: string;
  readonly changes?: Change[];
}

/** A message between the pages of one browser. `isNew`: the sender needs the token and whether changes arrive at once. */
type PageMessage = Step | { readonly isNew: true } | { readonly isLive: boolean };

/** How fast attempts follow each other. */
interface Pace {
  failures: number;
  retry: number | null; // milliseconds, as the server said
}

/**
 * Follows the changes for one page. One page of a browser has the stream: the one that holds a lock. It sends what
 * arrives to the others. A page that has another token than `from` reads the feed itself, so a lost message loses no
 * change.
 */
class Live {
  readonly #feed: Feed;
  readonly #onChange: (change: Change) => void;
  readonly #options: LiveOptions;
  #user: string | null = null; // only this person's changes are passed on
  #at: string | null; // the token of the last change that was passed on; null: changes come from now on
  #channel: Channel<PageMessage> | null = null;
  #isLive: boolean | null = null; // null: not known yet
  #isReading = false;
  #isBehind = false; // while it read, a message of another page arrived

  constructor(feed: Feed, onChange: (change: Change) => void, options: LiveOptions) {
    this.#feed = feed;
    this.#onChange = onChange;
    this.#options = options;
    this.#at = options.since ?? null;
  }

  async run(): Promise<never> {
    const { signal } = this.#options;
    for (;;) {
      throwIfAborted(signal);
      await waitUntilShown(signal);
      await whileShown(signal, (until) => this.#share(until));
    }
  }

  /** Gets the stream, or waits for messages of the page that has it. */
  async #share(signal: AbortSignal): Promise<never> {
    const { BroadcastChannel, navigator, window } = globals;
    const locks = window === undefined ? undefined : navigator?.locks; // not there on plain http: each page has a stream of its own
    await this.#persist(signal, async () => {
      if (locks) this.#user = await this.#feed.userOf(this.#user, signal);
    });
    await this.#loadCopy(signal);
    if (!locks || !BroadcastChannel || this.#user === null) return this.#lead(signal);
    const name = `taskward-live ${this.#feed.address} ${this.#user}`;
    const channel = new BroadcastChannel<PageMessage>(name);
    this.#channel = channel;
    try {
      return await new Promise<never>((_, reject) => {
        let isLeading = false;
        const receive = ({ data }: { data: PageMessage }) => {
          if (isLeading && "isNew" in data) {
            if (this.#at !== null) channel.postMessage({ at: this.#at });
            if (this.#isLive !== null) channel.postMessage({ isLive: this.#isLive });
          }
          if (!isLeading && "isLive" in data) this.#report(data.isLive);
          if (!isLeading && "at" in data) this.#receive(data, signal).catch(reject);
        };
        channel.addEventListener("message", receive);
        channel.postMessage({ isNew: true });
        const lead = () => {
          isLeading = true;
          return this.#lead(signal);
        };
        locks.request(name, { signal }, lead).catch(reject);
      });
    } finally {
      this.#channel = null;
      channel.close();
    }
  }

  /** Reads all tasks if there is no copy. Without `onAll` it does nothing: the stream begins with the current token. */
  async #loadCopy(signal: AbortSignal): Promise<void> {
    const { onAll } = this.#options;
    if (this.#at !== null || !onAll) return;
    const changes = new ChangesReader(this.#feed, null, { signal });
    await this.#persist(signal, async () => {
      const tasks: Task[] = [];
      changes.since = null;
      for await (const { task } of changes) if (task) tasks.push(task);
      callHandler(() => onAll(tasks));
    });
    this.#setToken(changes.since);
  }

  #setToken(at: string | null): void {
    this.#at = at;
    if (at !== null) callHandler(() => this.#options.onSince?.(at));
  }

  /** Passes changes on, and then the token after them. */
  #passOn({ changes, next }: { readonly changes: Change[]; readonly next: string }): void {
    for (const change of changes) callHandler(() => this.#onChange(change));
    this.#setToken(next);
  }

  /** Calls `onLive` if the state has changed. */
  #report(isLive: boolean): void {
    if (this.#isLive === isLive) return;
    this.#isLive = isLive;
    callHandler(() => this.#options.onLive?.(isLive));
  }

  #reportToAll(isLive: boolean): void {
    this.#report(isLive);
    this.#channel?.postMessage({ isLive });
  }

  /** Begins at this token. The changes before it are unknown. */
  #begin(at: string): void {
    callHandler(() => this.#options.onResync?.());
    this.#setToken(at);
  }

  /** Handles a message of the page that has the stream. */
  async #receive({ at, from, changes }: Step, signal: AbortSignal): Promise<void> {
    if (this.#isReading) this.#isBehind = true;
    else if (this.#at === null) this.#begin(at);
    else if (this.#at === from && changes) this.#passOn({ changes, next: at });
    else if (this.#at !== at) await this.#catchUp(signal);
  }

  async #catchUp(signal: AbortSignal): Promise<void> {
    this.#isReading = true;
    try {
      await this.#persist(signal, async () => {
        let page: ChangesPage;
        do {
          this.#isBehind = false;
          page = await this.#feed.read(this.#at, { signal });
          this.#passOn(page);
        } while (page.more || this.#isBehind);
      });
    } finally {
      this.#isReading = false;
    }
    if (this.#at === null) this.#channel?.postMessage({ isNew: true });
  }

  /** Repeats the work until it succeeds, the copy is too old, or an error shows that no repetition can succeed. */
  async #persist(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    for (let failures = 0; ; failures += 1)
      try {
        return await work();
      } catch (error) {
        throwIfAborted(signal);
        if (isCopyTooOld(error)) return this.#discardCopy(signal);
        await this.#waitToRetry(error, { failures, retry: null }, signal);
      }
  }

  /** Keeps a stream open. */
  async #lead(signal: AbortSignal): Promise<never> {
    const pace = { failures: 0, retry: null as number | null };
    for (; ; pace.failures += 1) {
      let problem: unknown = null;
      try {
        await runEndable(signal, (until) => this.#follow(until, pace));
      } catch (error) {
        throwIfAborted(signal);
        if (isCopyTooOld(error)) await this.#discardCopy(signal);
        else problem = error;
      }
      if (problem !== null) this.#reportToAll(false);
      await this.#waitToRetry(problem, pace, signal);
    }
  }

  /** Follows one stream to its end. */
  async #follow(signal: AbortSignal, pace: Pace): Promise<void> {
    const { body, refuse } = await this.#feed.open(this.#user, this.#at ?? NOW, signal);
    for await (const { name, data, id, retry } of eventsOf(body, signal)) {
      pace.failures = 0;
      pace.retry = retry ?? pace.retry;
      if (name === "ready" && id !== null) {
        if (this.#at === null) this.#begin(id);
        this.#channel?.postMessage({ at: this.#at ?? id });
        this.#reportToAll(true);
      } else if (name === "changes" && this.#at !== null) {
        const { changes, next } = data as unknown as ChangesPage;
        const from = this.#at;
        this.#passOn({ changes, next });
        this.#channel?.postMessage({ at: next, from, changes });
      } else if (name === "live") this.#reportToAll(data["live"] === true);
      else if (name === "resync") await this.#discardCopy(signal);
      else if (name === "bye" && data["reason"] === "token-expired") refuse();
    }
  }

  /** Discards a copy that is too old to update. */
  async #discardCopy(signal: AbortSignal): Promise<void> {
    this.#at = null;
    await this.#loadCopy(signal);
  }

  /** Waits before the next attempt. Throws the error instead if another attempt cannot help. */
  async #waitToRetry(error: unknown, { failures, retry }: Pace, signal: AbortSignal): Promise<void> {
    const mayRetry = isProblem(error) && (hasNoResponse(error) || isBusy(error) || error.status >= 500);
    if (error !== null && !mayRetry) throw error;
    const floor = isProblem(error) ? (error.retryAfter ?? 0) * 1000 : 0;
    const delay = Math.min((retry ?? RETRY) * 2 ** failures, RETRY_MAX) * (0.75 + Math.random() / 2);
    const wait = Math.max(delay, floor * (1 + Math.random() / 4));
    const online = nextEvent(globals as unknown as Partial<EventTargetLike>, "online", () => true);
    await Promise.race([race(this.#feed.sleep(wait), signal), online.promise]).finally(online.end);
    throwIfAborted(signal);
  }
}

interface ServerEvent {
  readonly name: string;
  readonly data: Record<string, unknown>;
  readonly id: string | null;
  readonly retry: number | null;
}

/**
 * Reads server-sent events (WHATWG HTML §9.2.6) until the stream ends. `EventSource` sends no bearer header. Events
 * without data are skipped, and so are those whose data is no JSON object. A silent stream ends with an error, and so
 * does one whose connection breaks.
 */
async function* eventsOf(body: ByteStream, signal: AbortSignal): AsyncGenerator<ServerEvent, void, undefined> {
  const reader = body.getReader();
  const decoder = new globals.TextDecoder();
  let rest = ""; // the beginning of a line
  let fields: Record<string, string> = {};
  try {
    for (;;) {
      const { done, value } = await withTimeout(SILENCE, signal, () => reader.read()).catch((error: unknown) => {
        throwIfAborted(signal);
        throw isProblem(error) ? error : offline(error);
      });
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/); // "\r" may be half of "\r\n"
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const [, name = line, text = ""] = /^([^:]*):? ?([\s\S]*)$/.exec(line) ?? [];
        if (line !== "")
          fields[name] = name === "data" && fields[name] !== undefined ? `${fields[name]}\n${text}` : text;
        else {
          const { event = "message", data = "", id = null, retry } = fields;
          const read = parseObject(data);
          fields = {};
          if (read)
            yield { name: event, data: read, id, retry: retry && /^\d{1,6}$/.test(retry) ? Number(retry) : null };
        }
      }
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

/** Returns a promise of the next event at which a condition holds, and a function that stops waiting. Without a target the event never comes. */
function nextEvent(target: Partial<EventTargetLike> | undefined, type: string, condition: () => boolean) {
  let end = (): void => undefined;
  const promise = new Promise<void>((resolve) => {
    const listener = () => condition() && resolve();
    target?.addEventListener?.(type, listener);
    end = () => target?.removeEventListener?.(type, listener);
  });
  return { promise, end };
}

const isShown = (): boolean => globals.document?.visibilityState !== "hidden";

/** Waits until the page is shown. */
async function waitUntilShown(signal?: AbortSignal): Promise<void> {
  if (isShown()) return;
  const { promise, end } = nextEvent(globals.document, "visibilitychange", isShown);
  await race(promise, signal).finally(end);
}

/** Runs the work until the page has been hidden for a minute. */
async function whileShown(
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<never>,
): Promise<void> {
  const { document } = globals;
  let timer: ReturnType<typeof setTimeout> | null = null;
  const clear = () => timer !== null && clearTimeout(timer);
  await runEndable(signal, async (until, end) => {
    const updateTimer = () => {
      clear();
      timer = isShown() ? null : setTimeout(end, HIDDEN);
    };
    document?.addEventListener("visibilitychange", updateTimer);
    try {
      await race(work(until), until);
    } catch (error) {
      throwIfAborted(signal);
      if (!until.aborted) throw error;
    } finally {
      clear();
      document?.removeEventListener("visibilitychange", updateTimer);
    }
  });
}

/** Runs the work with a new signal, which is aborted with the given signal, by `end`, or when the work is done. */
async function runEndable<T>(
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal, end: () => void) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const end = () => controller.abort();
  if (signal?.aborted) end();
  signal?.addEventListener("abort", end);
  try {
    return await work(controller.signal, end);
  } finally {
    end();
    signal?.removeEventListener("abort", end);
  }
}

// --------------------------------------------------------------------------------------------- pages: who is signed in

/**
 * Gets a token; `null`: nobody is signed in. It rejects if the sign-in service cannot be reached. If this function has
 * a bug, its `TypeError` or `ReferenceError` is what the calls reject with.
 */
export type GetToken = (signal: AbortSignal) => Promise<string | null>;

/** The parts of a Better Auth client that this file uses, for any framework. */
export interface AuthClient {
  readonly $fetch: (...input: never[]) => Promise<unknown>;
  readonly $store: { readonly atoms: object };
}

export interface TaskwardOptions {
  /** Your Better Auth client: `api` follows its session. If you have none: a function that gets tokens. */
  readonly auth: AuthClient | GetToken;
  /** The origin of the API; "" if the page's own origin passes `/api/me/tasks` on to it. */
  readonly baseUrl: string;
  /**
   * "throw" (the default): a call rejects if nobody is signed in. "wait": it waits until the person is signed in
   * again, so that nothing they typed is lost. After a sign-out, and without a `window`, no call waits.
   */
  readonly whenSignedOut?: "wait" | "throw";
  /** `over`: the session has ended; show the sign-in form. `elsewhere`: the person signed out in another tab. */
  readonly onSignedOut?: (how: "over" | "elsewhere") => void;
  /** The person is signed in again, here or in another tab: waiting calls continue. */
  readonly onSignedIn?: () => void;
  /**
   * Somebody else than the user of the screen is signed in. Without this handler the page is reloaded. With it: clear
   * the screen and all stored tasks, then call `session.cleared()`. Until then every call rejects.
   */
  readonly onOtherUser?: () => void;
  /** Milliseconds for a whole call, with its repetitions. The default is 30,000. */
  readonly timeout?: number;
  readonly fetch?: typeof fetch;
  readonly sleep?: (milliseconds: number) => Promise<void>;
}

export interface Session {
  /** The user that the screen belongs to: the first one since the page was loaded, or since `cleared()`. */
  readonly user: string | null;
  /** Call it when the screen shows nothing of the previous person. It then belongs to this user, or to the next one. */
  cleared(user?: string): void;
  /** Call it when somebody else may be signed in. Not needed with a Better Auth client. */
  changed(): void;
  /** Call it after a sign-out. It rejects waiting calls and notifies other tabs. Not needed with a Better Auth client. */
  signedOut(): void;
  /** Removes all listeners. */
  close(): void;
}

const TIMEOUT = 30_000; // milliseconds
const TOKEN_TIMEOUT = 10_000; // milliseconds for one token
const EARLY = 30_000; // milliseconds: a token is renewed so long before it expires, or at half its lifetime if that is later
const SIGN_OUT = 1_000; // milliseconds that a page without a session waits, in case its own sign-out has ended it
const ANNOUNCEMENT = 11; // milliseconds; Better Auth announces a sign-in or sign-out 10 ms after its promise resolves

/** Globals that some runtimes lack. They are typed here, so no DOM types are needed. */
interface Globals {
  readonly window?: unknown;
  readonly document?: EventTargetLike & { readonly visibilityState: string };
  readonly location?: { reload?: () => void };
  readonly crypto?: { getRandomValues(bytes: Uint8Array): unknown };
  readonly performance: { now(): number };
  readonly atob: (text: string) => string;
  readonly addEventListener?: unknown;
  readonly reportError?: (error: unknown) => void;
  readonly BroadcastChannel?: new <T>(name: string) => Channel<T>;
  readonly TextDecoder: new () => { decode(bytes: unknown, options: { stream: boolean }): string };
  readonly navigator?: { readonly locks?: Locks };
}

interface Locks {
  request<T>(name: string, options: { signal: AbortSignal }, held: () => Promise<T>): Promise<T>;
}

interface EventTargetLike {
  addEventListener(type: string, listener: (event: never) => void): void;
  removeEventListener(type: string, listener: (event: never) => void): void;
}

interface Channel<T = SessionMessage> extends EventTargetLike {
  postMessage(message: T): void;
  close(): void;
}

/** The message between tabs: who is signed in; `null`: the person signed out. */
interface SessionMessage {
  readonly user: string | null;
}

const globals = globalThis as unknown as Globals;

/** Connects the API to your Better Auth client. Call it once, in a module that pages import. */
export function createTaskward(options: TaskwardOptions): { readonly api: Api; readonly session: Session } {
  const { auth, baseUrl, timeout = TIMEOUT, fetch, sleep } = options;
  // Without a window this is a server that renders pages. It must keep nothing of one visitor for the next.
  const session = globals.window === undefined ? new NoSession(auth) : new PageSession(options);
  return { api: createApi({ baseUrl, tokens: session, timeout, fetch, sleep }), session };
}

interface HeldToken {
  readonly token: string;
  readonly user: string;
  readonly renewAt: number;
}

/** Where calls wait until `settle` lets them continue or rejects them. */
interface Gate {
  readonly promise: Promise<void>;
  readonly settle: (error?: Problem) => void;
}

/**
 * The token of a page. It is fetched at the first call, kept in memory only, and renewed before it expires.
 *
 * Its age is measured with a monotonic clock, and its lifetime is `exp` minus `iat`. So a wrong date on the device does
 * no harm. The token is dropped whenever somebody else may be signed in.
 */
class PageSession implements Session, Tokens {
  readonly #options: TaskwardOptions;
  readonly #getToken: GetToken;
  readonly #client: BetterAuth | null;
  readonly #channel: Channel | null;
  readonly #removers: (() => void)[] = [];
  #held: HeldToken | null = null;
  #fetching: Promise<HeldToken | null> | null = null;
  /** The time between two changes of who is signed in. A token that was requested in an earlier epoch is dropped. */
  #epoch = { signedOut: false };
  #latest: string | null = null; // the token that was fetched last in this epoch
  /** The user that the screen belongs to. A sign-out does not change it, because the screen still has their text. */
  #screen: string | null = null;
  /** Who is signed in, as far as is known. */
  #known: string | null = null;
  /** Why nobody is signed in: the session is over and the page was notified, or the person signed out. */
  #out: "over" | "left" | null = null;
  #isOther = false; // somebody else is signed in, and the page was notified
  #gate: Gate | null = null; // where calls wait for the person to sign in
  #refetching: Gate | null = null; // settles when Better Auth's client has fetched the session after a change here

  constructor(options: TaskwardOptions) {
    this.#options = options;
    const { auth } = options;
    this.#client = clientIn(auth);
    this.#getToken = tokenGetter(auth);
    this.#channel = globals.BroadcastChannel ? new globals.BroadcastChannel<SessionMessage>("taskward-session") : null;
    this.#listen();
  }

  get user(): string | null {
    return this.#screen;
  }

  async get(user: string | null, { signal, isWrite }: { signal?: AbortSignal | undefined; isWrite: boolean }) {
    for (;;) {
      throwIfAborted(signal);
      if (this.#gate) await race(this.#gate.promise, signal);
      // A write right after `await authClient.signIn(…)` must not have the token of the person before.
      if (isWrite && this.#client && (this.#held || this.#fetching)) await race(pause(ANNOUNCEMENT), signal);
      const held = this.#freshToken() ?? (await race(this.#fetch(), signal));
      if (held === null) {
        this.expire();
        continue;
      }
      if (this.#screen !== null && this.#screen !== held.user) throw otherUser();
      if (user !== null && user !== held.user) throw otherUser();
      return held.token;
    }
  }

  refuse(token: string): void {
    if (this.#held?.token === token) this.#held = null;
  }

  /** Ends the session if the refused token is the latest one. */
  expire(token: string | null = this.#latest, cause?: unknown): void {
    if (token !== this.#latest || this.#gate) return;
    const waits = this.#options.whenSignedOut === "wait";
    if (this.#out === "left") throw signedOut(cause); // after a sign-out no call waits
    if (waits || !this.#out) {
      const failure = callHandler(() => this.#options.onSignedOut?.("over"));
      if (failure) throw signedOut(failure.error); // the page's handler failed: the next call notifies it again
    }
    this.#held = null;
    this.#known = null;
    this.#out = "over";
    if (!waits) throw signedOut(cause);
    this.#gate ??= gate();
  }

  cleared(user: string | null = null): void {
    if (user !== null && user === this.#screen) return;
    this.#screen = user;
    this.#isOther = false;
    this.#beginEpoch();
  }

  changed(): void {
    this.#beginEpoch();
    void this.#fetch().catch(() => undefined); // notifies the page if it is somebody else
  }

  signedOut(): void {
    this.#channel?.postMessage({ user: null });
    this.#endSession();
  }

  close(): void {
    for (const remove of this.#removers) remove();
    this.#channel?.close();
  }

  #listen(): void {
    const { document, addEventListener } = globals;
    // Other pages of this origin may sign somebody in without an announcement. So check when the person comes back.
    const recheck = () => this.#recheck();
    if (document) this.#on(document, "visibilitychange", () => document.visibilityState === "visible" && recheck());
    if (typeof addEventListener === "function") {
      const page = globals as unknown as EventTargetLike;
      this.#on(page, "focus", recheck);
      this.#on(page, "pageshow", ({ persisted }: { persisted: boolean }) => persisted && recheck()); // "back"
    }
    if (this.#channel)
      this.#on(this.#channel, "message", ({ data }: { data: SessionMessage }) => this.#onMessage(data));
    this.#follow();
  }

  #on(target: EventTargetLike, type: string, listener: (event: never) => void): void {
    target.addEventListener(type, listener);
    this.#removers.push(() => target.removeEventListener(type, listener));
  }

  /** Follows the session of Better Auth's client. `$sessionSignal` fires when this page changed it. */
  #follow(): void {
    if (!this.#client) return;
    const { session, $sessionSignal } = this.#client.$store.atoms;
    this.#removers.push(
      $sessionSignal.listen(() => {
        this.#refetching ??= gate();
        this.#beginEpoch(); // waiting calls continue only with a session: a sign-up may not have one yet
      }),
      session.listen(({ data, error, isPending, isRefetching }) => {
        if (isPending || isRefetching) return;
        const isOurs = this.#refetching !== null;
        this.#refetching?.settle();
        this.#refetching = null;
        if (error && error.status !== 401) this.#recheck();
        else if (data) this.#onSession(data.user.id);
        else if (isOurs) this.#onSignOut();
        else void this.#onNoSession();
      }),
    );
  }

  /** Another tab announced who is signed in. */
  #onMessage({ user }: SessionMessage): void {
    if (user !== null && user === this.#known) return;
    if (user === null) {
      this.#endSession();
      callHandler(() => this.#options.onSignedOut?.("elsewhere"));
    } else this.changed();
    void this.#client?.$store.atoms.session.get().refetch(); // `useSession` does not notice sign-ins in other tabs
  }

  /** Better Auth's client has a session of this user. */
  #onSession(user: string): void {
    if (this.#held && this.#held.user !== user) this.#beginEpoch();
    this.#startSession(user);
  }

  /** Better Auth's client has no session after a sign-out here. */
  #onSignOut(): void {
    if (this.#screen !== null && this.#out !== "left") this.signedOut();
  }

  /** Better Auth's client found no session. */
  async #onNoSession(): Promise<void> {
    this.#beginEpoch();
    const epoch = this.#epoch;
    await this.#waitForAnnouncement(SIGN_OUT);
    if (epoch !== this.#epoch || this.#screen === null || this.#out) return;
    try {
      this.expire();
    } catch {
      // No call is running that it could reject.
    }
  }

  /** Waits until Better Auth's client knows whether the session ended by a sign-out here. */
  async #waitForAnnouncement(milliseconds = ANNOUNCEMENT): Promise<void> {
    if (!this.#client) return;
    await pause(milliseconds);
    const refetched = this.#refetching?.promise;
    if (refetched) await withTimeout(TOKEN_TIMEOUT, undefined, () => refetched).catch(() => undefined);
  }

  /** Somebody else may be signed in: the next call gets a new token. */
  #recheck(): void {
    if (this.#gate) this.changed();
    else this.#beginEpoch();
  }

  #endSession(): void {
    this.#epoch.signedOut = true;
    this.#beginEpoch();
    this.#known = null;
    this.#out = "left";
    this.#openGate(signedOut());
  }

  #startSession(user: string): void {
    const wasOut = this.#out !== null;
    this.#out = null;
    this.#screen ??= user;
    if (user !== this.#known) {
      this.#known = user;
      this.#channel?.postMessage({ user });
    }
    this.#openGate();
    if (user === this.#screen) {
      this.#isOther = false;
      if (wasOut) callHandler(() => this.#options.onSignedIn?.());
    } else if (!this.#isOther) {
      this.#isOther = true; // before the handler, which may call `cleared()`
      if (callHandler(this.#options.onOtherUser ?? (() => globals.location?.reload?.()))) this.#isOther = false;
    }
  }

  #openGate(error?: Problem): void {
    this.#gate?.settle(error);
    this.#gate = null;
  }

  #beginEpoch(): void {
    this.#epoch = { signedOut: false };
    this.#held = null;
    this.#latest = null;
    this.#fetching = null;
  }

  #freshToken(): HeldToken | null {
    return this.#held && now() < this.#held.renewAt ? this.#held : null;
  }

  #fetch(): Promise<HeldToken | null> {
    if (this.#fetching) return this.#fetching;
    const fetching = this.#fetchOnce().finally(() => {
      if (this.#fetching === fetching) this.#fetching = null;
    });
    this.#fetching = fetching;
    return fetching;
  }

  async #fetchOnce(): Promise<HeldToken | null> {
    const epoch = this.#epoch;
    const began = now();
    const result = await fetchToken(this.#getToken).catch((error: Error) => error);
    if (result === null) await this.#waitForAnnouncement();
    if (epoch.signedOut) throw signedOut();
    if (epoch !== this.#epoch) return this.#freshToken() ?? this.#fetch();
    if (result === null) return null;
    if (result instanceof Error) throw result;
    const held = heldToken(result, began);
    this.#held = held;
    this.#latest = held.token;
    this.#startSession(held.user);
    return held;
  }
}

/** The session outside a page: every call gets its own token or rejects, and nothing is kept. */
class NoSession implements Session, Tokens {
  readonly user = null;
  readonly #getToken: GetToken | null;

  constructor(auth: AuthClient | GetToken) {
    // A Better Auth client has no visitor's cookie here. `apiFor(request)` sends the cookie of its request.
    this.#getToken = clientIn(auth) ? null : tokenGetter(auth);
  }

  async get(_user: null, { signal }: { signal?: AbortSignal | undefined }): Promise<string> {
    throwIfAborted(signal);
    const token = this.#getToken && (await race(fetchToken(this.#getToken), signal));
    if (token === null) throw signedOut();
    return token;
  }

  expire(_token: string, cause: Problem): void {
    throw signedOut(cause);
  }

  refuse(): void {}
  cleared(): void {}
  changed(): void {}
  signedOut(): void {}
  close(): void {}
}

/** The parts of a Better Auth client that `PageSession` and `tokenOf` use, with their types. */
interface BetterAuth {
  readonly $fetch: (path: string, options: object) => Promise<{ data: unknown; error: { status: number } | null }>;
  readonly $store: {
    readonly atoms: { readonly session: Atom<SessionState>; readonly $sessionSignal: Atom<boolean> };
  };
}

interface Atom<T> {
  get(): T;
  listen(listener: (value: T) => void): () => void;
}

interface SessionState {
  readonly data: { readonly user: { readonly id: string } } | null;
  readonly error: { readonly status?: number } | null;
  readonly isPending: boolean;
  readonly isRefetching: boolean;
  refetch(): Promise<void>;
}

/** Returns the Better Auth client; `null` if `auth` is a function that gets tokens. A client is a proxy, and callable too. */
function clientIn(auth: AuthClient | GetToken): BetterAuth | null {
  return (auth as Partial<AuthClient>).$store === undefined ? null : (auth as unknown as BetterAuth);
}

function tokenGetter(auth: AuthClient | GetToken): GetToken {
  const client = clientIn(auth);
  return client ? (signal) => tokenOf(client, signal) : (auth as GetToken);
}

/** Gets a token for the session cookie, which scripts cannot read. */
async function tokenOf(client: BetterAuth, signal: AbortSignal): Promise<string | null> {
  let retryAfter: number | null = null;
  const { data, error } = await client.$fetch("/token", {
    method: "GET",
    signal,
    throw: false,
    onError: ({ response }: { response: Response }) => {
      retryAfter = seconds(response.headers.get("x-retry-after") ?? response.headers.get("retry-after"));
    },
  });
  if (error?.status === 401) return null;
  if (error) throw signInUnavailable(error.status, retryAfter);
  return (data as { token?: string } | null)?.token ?? "";
}

/** Gets a token within TOKEN_TIMEOUT. Rejects with a `Problem`, or with the error of a bug in your function. */
async function fetchToken(getToken: GetToken): Promise<string | null> {
  try {
    return await withTimeout(TOKEN_TIMEOUT, undefined, getToken);
  } catch (error) {
    throw isProblem(error) || isMistake(error) ? error : offline(error);
  }
}

/**
 * Whether a function that gets tokens failed because of a bug, or of an address that is not a URL. The message of a
 * `TypeError` decides, because `fetch` rejects with a `TypeError` too if there is no connection.
 */
function isMistake(error: unknown): boolean {
  const { name, message } = (error ?? {}) as Partial<Error>;
  return (
    name === "ReferenceError" || (name === "TypeError" && /\b(undefined|null|URL)\b|not a function/.test(message ?? ""))
  );
}

/** Reads the user and the lifetime of a token. The API verifies it, not this client. */
function heldToken(token: string, began: number): HeldToken {
  const { sub, iat, exp } = claimsOf(token);
  if (typeof sub !== "string") throw signInUnavailable(502);
  const life = typeof iat === "number" && typeof exp === "number" ? (exp - iat) * 1000 : Number.POSITIVE_INFINITY;
  return { token, user: sub, renewAt: began + life - Math.min(EARLY, life / 2) };
}

function claimsOf(token: string): { sub?: unknown; iat?: unknown; exp?: unknown } {
  try {
    const part = token.split(".")[1] ?? "";
    const bytes = Array.from(globals.atob(part.replace(/-/g, "+").replace(/_/g, "/")), (character) =>
      character.charCodeAt(0),
    );
    const text = bytes.map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""); // the bytes are UTF-8
    return (parseObject(decodeURIComponent(text)) ?? {}) as { sub?: unknown };
  } catch {
    return {};
  }
}

// ------------------------------------------------------------------------------------------------------------ servers

/** The part of `betterAuth(…)` with the `jwt` plugin that `apiFor` uses. */
export interface AuthServer {
  readonly api: { getToken(context: { headers: Headers }): Promise<{ token: string }> };
}

export interface ServerOptions {
  /** Better Auth in this process, or its address (`https://app.example.com/api/auth`). */
  readonly auth: AuthServer | string;
  /** The address of the API, as this server reaches it. */
  readonly baseUrl: string;
  /** Milliseconds for a whole call. The default is 10,000. */
  readonly timeout?: number;
  readonly fetch?: typeof fetch;
}

const UNCACHED = { cache: "no-store" } as RequestInit; // Next.js caches responses; types without a DOM know no `cache`
const SERVER_TIMEOUT = 10_000; // milliseconds; a visitor waits for it

/** Makes the API on a server, for the sender of one request. Make another API for each request: it may be another person's. */
export function apiFor(request: { readonly headers: Headers } | Headers, options: ServerOptions): Api {
  const { auth, baseUrl, timeout = SERVER_TIMEOUT, fetch } = options;
  const headers = "headers" in request ? request.headers : request;
  const isAddress = typeof auth === "string" || auth === undefined;
  const mistake = isAddress ? mistakeIn("auth", auth, { mayBeRelative: fetch !== undefined }) : null;
  const getToken: GetToken = (signal) =>
    typeof auth === "string" ? tokenAt(auth, headers, signal, fetch) : tokenFrom(auth, headers);
  let fetching: Promise<string | null> | null = null;
  const tokens: Tokens = {
    user: null,
    async get(_user, { signal }) {
      if (mistake) throw mistake;
      fetching ??= fetchToken(getToken);
      const token = await race(fetching, signal);
      if (token === null) throw signedOut();
      return token;
    },
    refuse() {
      fetching = null;
    },
    expire(_token, cause) {
      throw signedOut(cause);
    },
  };
  return createApi({ baseUrl, tokens, timeout, fetch, init: UNCACHED });
}

async function tokenFrom(auth: AuthServer, headers: Headers): Promise<string | null> {
  try {
    return (await auth.api.getToken({ headers })).token;
  } catch (error) {
    const { statusCode } = error as { statusCode?: number };
    if (statusCode === 401) return null;
    throw signInUnavailable(statusCode ?? 500, null, error);
  }
}

async function tokenAt(
  address: string,
  headers: Headers,
  signal: AbortSignal,
  send: typeof fetch = (input, init) => fetch(input, init),
): Promise<string | null> {
  const url = `${address.replace(/\/+$/, "")}/token`;
  const response = await send(url, {
    ...UNCACHED,
    ...DIRECT,
    headers: { cookie: headers.get("cookie") ?? "" },
    signal,
  });
  if (response.status === 401) return null;
  const token = parseObject(await response.text())?.["token"];
  if (response.ok && typeof token === "string") return token;
  const { status } = response;
  const cause = new Error(`${address} is not the address of Better Auth, or it failed: status ${status}`);
  const retryAfter = seconds(response.headers.get("x-retry-after"));
  const isElsewhere = status === 404 || response.ok; // Better Auth has this route, and sends a token
  const hint = `${url} answered ${status}${response.ok ? " without a token" : ""}: is /api/auth missing in \`auth\`?`;
  throw signInUnavailable(status, retryAfter, cause, isElsewhere ? hint : undefined);
}

// --------------------------------------------------------------------------------------------------------------- time

const now = (): number => globals.performance.now(); // milliseconds, monotonic

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

function gate(): Gate {
  let settle: Gate["settle"] = () => undefined;
  const promise = new Promise<void>((resolve, reject) => {
    settle = (error) => (error ? reject(error) : resolve());
  });
  promise.catch(() => undefined); // there may be no caller to handle it
  return { promise, settle };
}

/** Calls a handler of the page. Returns its error, if it threw one, after reporting it like any error of a page. */
function callHandler(handler: () => void): { readonly error: unknown } | null {
  try {
    handler();
    return null;
  } catch (error) {
    if (globals.reportError) globals.reportError(error);
    else console.error(error);
    return { error };
  }
}

/** Runs the work. Rejects after so many milliseconds, or when the signal aborts, even if the work ignores its signal. */
function withTimeout<T>(
  milliseconds: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (signal?.aborted) return Promise.reject(reasonOf(signal));
  const controller = new AbortController();
  let timer!: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(timedOut()), milliseconds);
  });
  const done = race(Promise.race([late, Promise.resolve().then(() => work(controller.signal))]), signal);
  return done.finally(() => {
    clearTimeout(timer);
    controller.abort(); // finished work is not affected
  });
}

/** Waits for a promise; rejects as soon as the signal aborts. */
function race<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return promise;
  if (signal.aborted) {
    promise.catch(() => undefined);
    return Promise.reject(reasonOf(signal));
  }
  return new Promise<T>((resolve, reject) => {
    const stop = () => reject(reasonOf(signal));
    signal.addEventListener("abort", stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** `signal.throwIfAborted()`, which React Native lacks. */
function throwIfAborted(signal?: AbortSignal): void {
  if (signal?.aborted) throw reasonOf(signal);
}

/** `signal.reason`, which React Native lacks. */
function reasonOf(signal: AbortSignal): unknown {
  const { reason } = signal as { reason?: unknown };
  return reason ?? Object.assign(new Error("The call was cancelled."), { name: "AbortError" });
}
