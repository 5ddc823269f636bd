/**
 * The task API for a front end, so that nobody has to think about tokens. Copy this folder to `lib/taskward/`:
 *
 *     const { api, session } = createTaskward({ auth: authClient, baseUrl: "https://tasks.example.com" });
 *     const task = await api.create({ title: "Water the plants" });
 *     for await (const each of api.all({ completed: false })) console.log(each.title);
 *
 * Every function takes `signal` to be cancelled by, and rejects with a `Problem`, or with what the signal was aborted
 * with. None throws before it returns its promise.
 *
 * This is one file on purpose. Next.js finds no file by "./x.js" where it is x.ts, `nodenext` wants that extension,
 * and Node itself wants ".ts": a file that imports no other runs in all of them.
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
  "too-many-tasks",
  // This client's.
  "not-understood", // a success that is no answer of the API, such as the page of a hotel's network
  "offline", // no answer came
  "other-user", // somebody else is signed in than the person that the screen is for: nothing was sent
  "sign-in-unavailable", // Better Auth gave no token, and did not say that nobody is signed in
  "signed-out", // nobody is signed in
  "timeout", // no answer came in time
  // Any other: see `status`.
  "other",
] as const;
export type ProblemType = (typeof PROBLEM_TYPES)[number];

/** One thing wrong with a request, and where: an RFC 6901 pointer into the body, or `/name` of a parameter. */
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

/** Everything that a call can end in but success (RFC 9457). Branch on `type` or `status`; show `detail` to people. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly type: ProblemType;
  /** `type` as it was sent: the address of a page about it. */
  readonly uri: string;
  /** 0 where no answer came. */
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly errors: readonly FieldError[];
  /** Seconds after which it is worth asking again, where the server says so. */
  readonly retryAfter: number | null;
  /** What the operator finds the request by. */
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

  /** What is worth logging, or sending on to a page as data. An `Error` would become `{}`. */
  toJSON(): Required<ProblemFields> {
    const { type, uri, status, title, detail, errors, retryAfter, requestId } = this;
    return { type, uri, status, title, detail, errors, retryAfter, requestId };
  }

  /** The same problem as an answer of a server of yours. */
  toResponse(): Response {
    const isError = this.status >= 400 && this.status < 600; // not a hotel's page with 200
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

/** Somebody else is signed in than the person that the screen is for: nothing was sent. */
export const isOtherUser = (error: unknown): error is Problem => isProblem(error) && error.type === "other-user";

/** The task has another version than the one that was seen: nothing was written. Read it again, and show both. */
export const isConflict = (error: unknown): error is Problem => isProblem(error) && error.type === "task-changed";

/** The request is not valid: `errors` says what, and where. */
export const isInvalid = (error: unknown): error is Problem => isProblem(error) && error.type === "invalid-request";

/** No answer came: the device is offline, or the server is away or silent. */
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

const signInUnavailable = (status: number, retryAfter: number | null = null, cause?: unknown): Problem =>
  new Problem(
    {
      type: "sign-in-unavailable",
      status,
      title: "Sign-in service",
      detail: "The sign-in service does not answer as it should: try again.",
      retryAfter,
    },
    cause,
  );

/** Reads an answer that is not a success. HTML, half an answer or none still make a problem. */
function problemOf(answer: Answer): Problem {
  const body = parsed(answer.text) ?? {};
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

/** Reads `Retry-After` as seconds; a date (RFC 9110 §10.2.3) is not worth a clock that may be wrong. */
function seconds(header: string | null): number | null {
  return header !== null && /^\d{1,6}$/.test(header.trim()) ? Number(header) : null;
}

function parsed(text: string): Record<string, unknown> | null {
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
  /** Where the next page begins; `null`: this is the last. */
  readonly next: string | null;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface WriteOptions extends CallOptions {
  /** The version that was seen: a conflict if the task has another by now. */
  readonly ifVersion?: number | undefined;
}

interface RequestOptions extends WriteOptions {
  readonly query?: Record<string, unknown>;
  readonly body?: unknown;
  readonly contentType?: string;
  /** Makes a request one that may be repeated: the server answers its repetition with the first answer. */
  readonly key?: string;
}

/** An answer whose body has been read: nothing of it can hang any more. */
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

/** Whose requests these are, and what they prove it with. */
interface Tokens {
  /** The user that a request made now is for; `null`: the one who is signed in. */
  readonly user: string | null;
  /** A token that is good for a while, if it is still this user's. */
  get(user: string | null, options: { signal?: AbortSignal | undefined; isWrite: boolean }): Promise<string>;
  /** The API refused this token: it will not be used again. */
  refuse(token: string): void;
  /** The API refused a new token too: the session is over. Throws, unless it can be waited for. */
  expire(token: string, cause: Problem): void;
}

const ATTEMPTS = 4;
const PAUSE = 500; // milliseconds before the second attempt; doubled each time
const PAUSE_MAX = 10_000; // milliseconds; a longer wait is the person's to decide on
const IDEMPOTENT = ["GET", "PUT", "DELETE"]; // RFC 9110 §9.2.2
const DIRECT = { redirect: "manual" } as RequestInit; // Cloudflare Workers have no "error"; React Native's types no `redirect`

export type Api = ReturnType<typeof createApi>;

function createApi({ baseUrl, tokens, timeout, init: common = {}, ...options }: ApiOptions) {
  const send: typeof fetch = options.fetch ?? ((input, init) => fetch(input, init));
  const sleep = options.sleep ?? ((milliseconds) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds)));
  const base = `${String(baseUrl).replace(/\/+$/, "")}/api/me/tasks`;

  /** One attempt: an answer of any status, or a `Problem` where there was none. */
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
      return await limited(limit, options.signal, async (signal) => {
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

  /** Repeats what is busy or away, where that is safe. */
  async function request(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const user = tokens.user; // a person who signs in later does not get to do this
    const isWrite = method !== "GET";
    const isRepeatable = IDEMPOTENT.includes(method) || options.key !== undefined;
    // A condition would refuse the repetition of a write whose answer was lost, as if somebody else had written.
    const isConditional = options.ifVersion !== undefined && options.key === undefined;
    let left = timeout; // a person who takes an hour to sign in does not use it up

    /** Sends the request with a good token: a 401 renews it and repeats once; a second one means that the session is over. */
    async function authorized(): Promise<Answer> {
      for (let refused = 0; ; ) {
        const token = await tokens.get(user, { signal: options.signal, isWrite });
        const began = now();
        const answer = await attemptOnce(method, path, token, options, Math.min(left, timeout / 2)).finally(() => {
          left -= now() - began;
        });
        if (answer.status !== 401) return answer;
        tokens.refuse(token);
        refused += 1;
        if (refused === 2) {
          tokens.expire(token, problemOf(answer));
          refused = 0;
        }
      }
    }

    for (let attempt = 1; ; attempt += 1) {
      const result = await authorized().catch((error: unknown) => {
        if (isProblem(error) && (isAway(error) || isBusy(error))) return error;
        throw error;
      });
      if (!isProblem(result) && (isSuccess(result) || isGone(method, result, attempt))) return result;
      const problem = isProblem(result) ? result : problemOf(result);
      const pause = (problem.retryAfter ?? 0) * 1000 || PAUSE * 2 ** (attempt - 1);
      const isWorthIt = isUnknown(problem) ? !isConditional : isBusy(problem);
      if (!isWorthIt || !isRepeatable || attempt === ATTEMPTS || pause > Math.min(PAUSE_MAX, left)) throw problem;
      left -= pause;
      await raced(sleep(pause), options.signal);
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

    /** Creates a task. Safe to repeat: it carries a key, so it is created once; give the same one to try later. */
    create: async (task: NewTask, { signal, key = newKey() }: CallOptions & { key?: string } = {}): Promise<Task> =>
      read("POST", "", { body: task, key, signal }),

    /** Reads one task. */
    get: async (id: string, { signal }: CallOptions = {}): Promise<Task> => read("GET", one(id), { signal }),

    /** Changes the named fields; `null` empties one. */
    update: async (id: string, changes: TaskPatch, options: WriteOptions = {}): Promise<Task> =>
      read("PATCH", one(id), { ...options, body: changes, contentType: "application/merge-patch+json" }),

    /** Sends a whole task back, as it was read and changed. */
    replace: async (id: string, task: TaskUpdate, options: WriteOptions = {}): Promise<Task> =>
      read("PUT", one(id), { ...options, body: task }),

    /** Completes or reopens a task; without a word on which, it is toggled. Safe to repeat either way. */
    complete: async (id: string, completed?: boolean, options: WriteOptions = {}): Promise<Task> =>
      read("PATCH", `${one(id)}/complete`, {
        ...options,
        key: newKey(),
        ...(completed === undefined ? {} : { body: { completed } }),
      }),

    /** Moves a task to the trash, or with `permanent` ends it for good. */
    remove: async (id: string, options: WriteOptions & { permanent?: boolean } = {}): Promise<void> => {
      const { permanent, ...rest } = options;
      const answer = await request("DELETE", one(id), { ...rest, ...(permanent ? { query: { permanent } } : {}) });
      if (answer.status === 200) throw notUnderstood(answer.status);
    },

    /** Takes a task out of the trash. */
    restore: async (id: string, options: WriteOptions = {}): Promise<Task> =>
      read("POST", `${one(id)}/restore`, options),

    /** Puts a task right before or after another, in one's own order (`sort: "position"`). */
    move: async (id: string, to: { before: string } | { after: string }, options: WriteOptions = {}): Promise<Task> =>
      read("POST", `${one(id)}/move`, { ...options, body: to }),

    /** Does up to 100 things, all of them or none. Safe to repeat. An error points at its operation. */
    batch: async (operations: BatchOperation[], { signal }: CallOptions = {}): Promise<BatchResults> =>
      read("POST", "/batch", { body: { operations }, key: newKey(), signal }),

    /** Counts tasks: open, done, overdue, due today in a time zone, and by tag. */
    summary: async (tz: string, { signal }: CallOptions = {}): Promise<Summary> =>
      read("GET", "/summary", { query: { tz }, signal }),
  };
}

const one = (id: string): string => `/${encodeURIComponent(id)}`;

/** A new key for a request that may be repeated. It has to differ, not to be secret. */
export function newKey(): string {
  const bytes = new Uint8Array(16);
  // `crypto.randomUUID` is not there on plain http, nor `crypto` in React Native.
  if (globals.crypto) globals.crypto.getRandomValues(bytes);
  else for (let index = 0; index < bytes.length; index += 1) bytes[index] = Math.floor(Math.random() * 256);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function bodyOf<T>(answer: Answer): T {
  const body = parsed(answer.text);
  if (body === null) throw notUnderstood(answer.status);
  return body as T;
}

const isSuccess = ({ status }: Answer): boolean => status >= 200 && status < 300;

/** A repeated DELETE finds nothing where the first did its work and only its answer was lost. */
function isGone(method: string, { status }: Answer, attempt: number): boolean {
  return method === "DELETE" && attempt > 1 && status === 404;
}

const isAway = (problem: Problem): boolean => problem.status === 0;

/** Waiting helps: too much at once, away for a while, or still at work on the first of two requests with one key. */
function isBusy({ status, retryAfter }: Problem): boolean {
  return status === 429 || status === 503 || (status === 409 && retryAfter !== null);
}

/** Nobody knows whether a write was done: no answer came, or the server itself does not know. */
function isUnknown(problem: Problem): boolean {
  return isAway(problem) || problem.type === "outcome-unknown";
}

function queryString(query: Record<string, unknown> = {}): string {
  const pairs: string[] = [];
  for (const [name, value] of Object.entries(query))
    for (const each of Array.isArray(value) ? (value as unknown[]) : [value])
      if (each !== undefined && each !== null) pairs.push(`${name}=${encodeURIComponent(String(each))}`);
  return pairs.length > 0 ? `?${pairs.join("&")}` : "";
}

/** Reads the cursor of `Link: <…?cursor=…>; rel="next"` (RFC 8288). React Native has no `URL` that could. */
function nextOf({ headers }: Answer): string | null {
  const target = /<([^>]*)>;\s*rel="?next"?/.exec(headers.get("link") ?? "")?.[1] ?? "";
  const cursor = /[?&]cursor=([^&#]*)/.exec(target)?.[1];
  return cursor === undefined ? null : decodeURIComponent(cursor.replace(/\+/g, " "));
}

// -------------------------------------------------------------------------------------------------- pages: who is here

/** Gets a token. `null`: nobody is signed in. What it throws means that the sign-in service cannot be reached. */
export type GetToken = (signal: AbortSignal) => Promise<string | null>;

/** What this needs of a client of Better Auth, whichever framework it is for. */
export interface AuthClient {
  readonly $fetch: (...input: never[]) => Promise<unknown>;
  readonly $store: { readonly atoms: object };
}

export interface TaskwardOptions {
  /** Your own client of Better Auth, which is followed; or where there is none a function that gets tokens. */
  readonly auth: AuthClient | GetToken;
  /** The origin of the API; "" where the page's own origin passes `/api/me/tasks` on to it. */
  readonly baseUrl: string;
  /**
   * "throw" (the default): a call rejects where nobody is signed in. "wait": it waits until the person is signed in
   * again, so that nothing they typed is lost. Where there is no `window` nothing waits.
   */
  readonly whenSignedOut?: "wait" | "throw";
  /** `over`: the session has ended, ask the person to sign in again. `elsewhere`: they signed out in another tab. */
  readonly onSignedOut?: (how: "over" | "elsewhere") => void;
  /** The person is signed in again, here or in another tab: what waited goes on. */
  readonly onSignedIn?: () => void;
  /**
   * Somebody else is signed in than the person that the screen is for. Without this the page is loaded anew. With it:
   * clear the screen and what is kept of their tasks, then call `session.cleared()`. Until then every call rejects.
   */
  readonly onOtherUser?: () => void;
  /** Milliseconds that a call may take in all, its repetitions included: 30,000 without a word. */
  readonly timeout?: number;
  readonly fetch?: typeof fetch;
  readonly sleep?: (milliseconds: number) => Promise<void>;
}

export interface Session {
  /** The user that the screen is for: the first one seen since the page began, or since `cleared()`. */
  readonly user: string | null;
  /** Says that nothing of the person before is on the screen: it is now for this user, or for the next one who is seen. */
  cleared(user?: string): void;
  /** Says that who is signed in may have changed. A client of Better Auth says so itself. */
  changed(): void;
  /** Says that the person signed out: what waits is rejected, and other tabs know. A client of Better Auth says so itself. */
  signedOut(): void;
  /** Ends what listens. */
  close(): void;
}

const TIMEOUT = 30_000; // milliseconds
const TOKEN_TIMEOUT = 10_000; // milliseconds for one token
const EARLY = 30_000; // milliseconds before its end at which a token is renewed, or half its life if that is less
const SIGN_OUT = 1_000; // milliseconds from the end of a session at Better Auth until a page that ended it knows
const ANNOUNCEMENT = 11; // milliseconds; Better Auth announces a sign-in or sign-out 10 ms after its promise resolves

/** What other places lack, or their types do: typed here so that no DOM types are needed. */
interface Globals {
  readonly window?: unknown;
  readonly document?: Listening & { readonly visibilityState: string };
  readonly location?: { reload?: () => void };
  readonly crypto?: { getRandomValues(bytes: Uint8Array): unknown };
  readonly performance: { now(): number };
  readonly atob: (text: string) => string;
  readonly addEventListener?: unknown;
  readonly reportError?: (error: unknown) => void;
  readonly BroadcastChannel?: new (name: string) => Channel;
}

interface Listening {
  addEventListener(type: string, listener: (event: never) => void): void;
  removeEventListener(type: string, listener: (event: never) => void): void;
}

interface Channel extends Listening {
  postMessage(message: Message): void;
  close(): void;
}

/** What tabs tell each other: who is signed in, or that the person signed out. */
interface Message {
  readonly user: string | null;
}

const globals = globalThis as unknown as Globals;

/** Joins the API to your client of Better Auth. Call it once, in a module that pages import. */
export function createTaskward(options: TaskwardOptions): { readonly api: Api; readonly session: Session } {
  const { auth, baseUrl, timeout = TIMEOUT, fetch, sleep } = options;
  // Without a window this is a server that renders: what one visitor has, the next one must not get.
  const session = globals.window === undefined ? new NoSession(auth) : new PageSession(options);
  return { api: createApi({ baseUrl, tokens: session, timeout, fetch, sleep }), session };
}

interface Held {
  readonly token: string;
  readonly user: string;
  readonly renewAt: number;
}

interface Gate {
  readonly promise: Promise<void>;
  readonly settle: (error?: Problem) => void;
}

/**
 * The token of a page: fetched when first needed, kept in memory only, renewed before it ends, shared by all who wait.
 *
 * Its age is counted on this device's monotonic clock against the token's own `iat` and `exp`, so a device whose date
 * is wrong is not a problem. It is dropped whenever somebody else may be signed in.
 */
class PageSession implements Session, Tokens {
  readonly #options: TaskwardOptions;
  readonly #getToken: GetToken;
  readonly #client: BetterAuth | null;
  readonly #channel: Channel | null;
  readonly #ends: (() => void)[] = [];
  #held: Held | null = null;
  #fetching: Promise<Held | null> | null = null;
  /** From one change of who is signed in to the next: what an earlier one fetches no longer counts. */
  #epoch = { signedOut: false };
  #latest: string | null = null; // the token that was fetched last in this epoch
  /** For whom the screen is. It stays when they sign out: their words are still there. */
  #screen: string | null = null;
  /** Who is signed in, as far as is known. */
  #known: string | null = null;
  /** Nobody is signed in, and the page knows: the session ended, or the person left. */
  #out: "over" | "left" | null = null;
  #isOther = false; // somebody else is signed in, and the page knows
  #gate: Gate | null = null; // where calls wait for the person to sign in
  #looking: Gate | null = null; // Better Auth's client looks who is signed in, after a sign-in or sign-out here

  constructor(options: TaskwardOptions) {
    this.#options = options;
    const { auth } = options;
    this.#client = clientIn(auth);
    this.#getToken = tokenGetter(auth);
    this.#channel = globals.BroadcastChannel ? new globals.BroadcastChannel("taskward-session") : null;
    this.#listen();
  }

  get user(): string | null {
    return this.#screen;
  }

  async get(user: string | null, { signal, isWrite }: { signal?: AbortSignal | undefined; isWrite: boolean }) {
    for (;;) {
      throwIfAborted(signal);
      if (this.#gate) await raced(this.#gate.promise, signal);
      // A write right after `await authClient.signIn(…)` must not go out with the token of the one before.
      if (isWrite && this.#client && (this.#held || this.#fetching)) await raced(pause(ANNOUNCEMENT), signal);
      const held = this.#fresh() ?? (await raced(this.#fetch(), signal));
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

  /** If a token says so, only while it is the latest. */
  expire(token: string | null = this.#latest, cause?: unknown): void {
    if (token !== this.#latest || this.#gate) return;
    const waits = this.#options.whenSignedOut === "wait";
    if (this.#out === "left") throw signedOut(cause); // nobody waits for a person who signed out
    if (waits || !this.#out) {
      const failure = failureOf(() => this.#options.onSignedOut?.("over"));
      if (failure) throw signedOut(failure.error); // the page does not know of it: the next call says so again
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
    this.#begin();
  }

  changed(): void {
    this.#begin();
    void this.#fetch().catch(() => undefined); // says whether it is somebody else
  }

  signedOut(): void {
    this.#channel?.postMessage({ user: null });
    this.#leave();
  }

  close(): void {
    for (const end of this.#ends) end();
    this.#channel?.close();
  }

  #listen(): void {
    const { document, addEventListener } = globals;
    // A sign-in that no tab announced, such as one on another page of this origin, is seen on coming back.
    const doubt = () => this.#doubt();
    if (document) this.#on(document, "visibilitychange", () => document.visibilityState === "visible" && doubt());
    if (typeof addEventListener === "function") {
      const page = globals as unknown as Listening;
      this.#on(page, "focus", doubt);
      this.#on(page, "pageshow", ({ persisted }: { persisted: boolean }) => persisted && doubt()); // "back"
    }
    if (this.#channel) this.#on(this.#channel, "message", ({ data }: { data: Message }) => this.#hear(data));
    this.#follow();
  }

  #on(target: Listening, type: string, listener: (event: never) => void): void {
    target.addEventListener(type, listener);
    this.#ends.push(() => target.removeEventListener(type, listener));
  }

  /** Follows the session of Better Auth's client: `$sessionSignal` says that this page did something to it. */
  #follow(): void {
    if (!this.#client) return;
    const { session, $sessionSignal } = this.#client.$store.atoms;
    this.#ends.push(
      $sessionSignal.listen(() => {
        this.#looking ??= gate();
        this.#begin(); // what waits goes on by the session that it finds: a sign-up may have made none yet
      }),
      session.listen(({ data, error, isPending, isRefetching }) => {
        if (isPending || isRefetching) return;
        const isOurs = this.#looking !== null;
        this.#looking?.settle();
        this.#looking = null;
        if (error && error.status !== 401) this.#doubt();
        else if (data) this.#seen(data.user.id);
        else if (isOurs) this.#left();
        else void this.#missed();
      }),
    );
  }

  /** Another tab says who is signed in there. */
  #hear({ user }: Message): void {
    if (user !== null && user === this.#known) return;
    if (user === null) {
      this.#leave();
      failureOf(() => this.#options.onSignedOut?.("elsewhere"));
    } else this.changed();
    void this.#client?.$store.atoms.session.get().refetch(); // `useSession` learns nothing of other tabs' sign-ins
  }

  /** Better Auth's client has a session of this user. */
  #seen(user: string): void {
    if (this.#held && this.#held.user !== user) this.#begin();
    this.#arrive(user);
  }

  /** Better Auth's client has no session any more, after a sign-out here. */
  #left(): void {
    if (this.#screen !== null && this.#out !== "left") this.signedOut();
  }

  /** Better Auth's client found no session. */
  async #missed(): Promise<void> {
    this.#begin();
    const epoch = this.#epoch;
    await this.#announced(SIGN_OUT);
    if (epoch !== this.#epoch || this.#screen === null || this.#out) return;
    try {
      this.expire();
    } catch {
      // There is no call that it could reject.
    }
  }

  /** Waits until it is clear from Better Auth's client whether nobody is signed in because they signed out here. */
  async #announced(milliseconds = ANNOUNCEMENT): Promise<void> {
    if (!this.#client) return;
    await pause(milliseconds);
    const looking = this.#looking?.promise;
    if (looking) await limited(TOKEN_TIMEOUT, undefined, () => looking).catch(() => undefined);
  }

  /** Somebody else may be signed in: the next call gets a new token. */
  #doubt(): void {
    if (this.#gate) this.changed();
    else this.#begin();
  }

  #leave(): void {
    this.#epoch.signedOut = true;
    this.#begin();
    this.#known = null;
    this.#out = "left";
    this.#open(signedOut());
  }

  #arrive(user: string): void {
    const wasOut = this.#out !== null;
    this.#out = null;
    this.#screen ??= user;
    if (user !== this.#known) {
      this.#known = user;
      this.#channel?.postMessage({ user });
    }
    this.#open();
    if (user === this.#screen) {
      this.#isOther = false;
      if (wasOut) failureOf(() => this.#options.onSignedIn?.());
    } else if (!this.#isOther) {
      this.#isOther = true; // first, since the handler may call `cleared()`
      if (failureOf(this.#options.onOtherUser ?? (() => globals.location?.reload?.()))) this.#isOther = false;
    }
  }

  #open(error?: Problem): void {
    this.#gate?.settle(error);
    this.#gate = null;
  }

  #begin(): void {
    this.#epoch = { signedOut: false };
    this.#held = null;
    this.#latest = null;
    this.#fetching = null;
  }

  #fresh(): Held | null {
    return this.#held && now() < this.#held.renewAt ? this.#held : null;
  }

  #fetch(): Promise<Held | null> {
    if (this.#fetching) return this.#fetching;
    const fetching = this.#fetchAnew().finally(() => {
      if (this.#fetching === fetching) this.#fetching = null;
    });
    this.#fetching = fetching;
    return fetching;
  }

  async #fetchAnew(): Promise<Held | null> {
    const epoch = this.#epoch;
    const began = now();
    const result = await fetchToken(this.#getToken).catch((problem: Problem) => problem);
    if (result === null) await this.#announced();
    if (epoch.signedOut) throw signedOut();
    if (epoch !== this.#epoch) return this.#fresh() ?? this.#fetch();
    if (isProblem(result)) throw result;
    if (result === null) return null;
    const held = holding(result, began);
    this.#held = held;
    this.#latest = held.token;
    this.#arrive(held.user);
    return held;
  }
}

/** Where no page is: every call gets a token of its own or rejects, and nothing is kept. */
class NoSession implements Session, Tokens {
  readonly user = null;
  readonly #getToken: GetToken | null;

  constructor(auth: AuthClient | GetToken) {
    // A client of Better Auth has no visitor's cookie here: `apiFor(request)` does.
    this.#getToken = clientIn(auth) ? null : tokenGetter(auth);
  }

  async get(_user: null, { signal }: { signal?: AbortSignal | undefined }): Promise<string> {
    throwIfAborted(signal);
    const token = this.#getToken && (await raced(fetchToken(this.#getToken), signal));
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

/** The parts of a client of Better Auth that are used here. */
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

/** A client of Better Auth is a function too: a proxy that has whatever one reads of it. */
function clientIn(auth: AuthClient | GetToken): BetterAuth | null {
  return (auth as Partial<AuthClient>).$store === undefined ? null : (auth as unknown as BetterAuth);
}

function tokenGetter(auth: AuthClient | GetToken): GetToken {
  const client = clientIn(auth);
  return client ? (signal) => tokenOf(client, signal) : (auth as GetToken);
}

/** The session cookie is what a token is given for; it is out of reach of scripts. */
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

/** Gets a token in time, or rejects with a `Problem`. */
async function fetchToken(getToken: GetToken): Promise<string | null> {
  try {
    return await limited(TOKEN_TIMEOUT, undefined, getToken);
  } catch (error) {
    throw isProblem(error) ? error : offline(error);
  }
}

/** Reads whose token it is and how long it lives. Nothing is verified: that is the API's to do. */
function holding(token: string, began: number): Held {
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
    const text = bytes.map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""); // of UTF-8
    return (parsed(decodeURIComponent(text)) ?? {}) as { sub?: unknown };
  } catch {
    return {};
  }
}

// ------------------------------------------------------------------------------------------------------------ servers

/** What this needs of `betterAuth(…)` with the `jwt` plugin. */
export interface AuthServer {
  readonly api: { getToken(context: { headers: Headers }): Promise<{ token: string }> };
}

export interface ServerOptions {
  /** Better Auth in this process, or its address (`https://app.example.com/api/auth`). */
  readonly auth: AuthServer | string;
  /** The address of the API, as this server reaches it. */
  readonly baseUrl: string;
  /** Milliseconds that a call may take in all: 10,000 without a word. */
  readonly timeout?: number;
  readonly fetch?: typeof fetch;
}

const UNCACHED = { cache: "no-store" } as RequestInit; // Next.js keeps answers; types without a DOM know no `cache`
const SERVER_TIMEOUT = 10_000; // milliseconds; a visitor waits for it

/** The API on a server, for the one who sent this request. Make one for each request: the next is another person's. */
export function apiFor(request: { readonly headers: Headers } | Headers, options: ServerOptions): Api {
  const { auth, baseUrl, timeout = SERVER_TIMEOUT, fetch } = options;
  const headers = "headers" in request ? request.headers : request;
  const getToken: GetToken = (signal) =>
    typeof auth === "string" ? tokenAt(auth, headers, signal, fetch) : tokenFrom(auth, headers);
  let fetching: Promise<string | null> | null = null;
  const tokens: Tokens = {
    user: null,
    async get(_user, { signal }) {
      fetching ??= fetchToken(getToken);
      const token = await raced(fetching, signal);
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
  const response = await send(`${address.replace(/\/+$/, "")}/token`, {
    ...UNCACHED,
    ...DIRECT,
    headers: { cookie: headers.get("cookie") ?? "" },
    signal,
  });
  if (response.status === 401) return null;
  const token = parsed(await response.text())?.["token"];
  if (response.ok && typeof token === "string") return token;
  throw signInUnavailable(response.status, seconds(response.headers.get("x-retry-after")));
}

// --------------------------------------------------------------------------------------------------------------- time

const now = (): number => globals.performance.now(); // of a clock that never jumps

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

function gate(): Gate {
  let settle: Gate["settle"] = () => undefined;
  const promise = new Promise<void>((resolve, reject) => {
    settle = (error) => (error ? reject(error) : resolve());
  });
  promise.catch(() => undefined); // nobody may be waiting
  return { promise, settle };
}

/** Calls a handler of the page. What it throws is reported as any error of a page is, and stops nothing here. */
function failureOf(handler: () => void): { readonly error: unknown } | null {
  try {
    handler();
    return null;
  } catch (error) {
    if (globals.reportError) globals.reportError(error);
    else console.error(error);
    return { error };
  }
}

/** Does work that is ended after so many milliseconds, or by the signal, even if it does not listen to either. */
function limited<T>(
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
  const done = raced(Promise.race([late, Promise.resolve().then(() => work(controller.signal))]), signal);
  return done.finally(() => {
    clearTimeout(timer);
    controller.abort(); // what came is read to its end: this ends only what did not
  });
}

/** Waits for a promise, or for the signal, whichever comes first. */
function raced<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
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

/** `signal.throwIfAborted()`, which Safari 15 and React Native lack. */
function throwIfAborted(signal?: AbortSignal): void {
  if (signal?.aborted) throw reasonOf(signal);
}

/** `signal.reason`, which React Native lacks. */
function reasonOf(signal: AbortSignal): unknown {
  const { reason } = signal as { reason?: unknown };
  return reason ?? Object.assign(new Error("The call was cancelled."), { name: "AbortError" });
}
