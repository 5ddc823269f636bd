/**
 * The task API, so that nobody has to think about tokens.
 *
 * Copy the folder `lib/` into a browser, Node or Next.js project; `lib/auth.ts` joins it to Better Auth:
 *
 *     const api = createApi({ baseUrl: "https://tasks.example.com", session });
 *     const task = await api.create({ title: "Water the plants" });
 *     for await (const each of api.all({ completed: false })) console.log(each.title);
 *
 * Every function takes `signal` to be cancelled by, and throws a `Problem`, or what the signal was aborted with.
 */

import type { components, operations } from "./openapi";
import { Problem } from "./problem";
import { aborted, type Session } from "./session";

export { type Fault, Problem } from "./problem";
export { Session, type SessionOptions } from "./session";

type Schemas = components["schemas"];
export type Task = Schemas["Task"];
export type NewTask = Schemas["TaskCreate"];
export type TaskPatch = Schemas["TaskPatch"];
export type TaskUpdate = Schemas["TaskUpdate"];
export type BatchOperation = Schemas["Batch"]["operations"][number];
export type BatchResults = Schemas["BatchResults"];
export type Summary = Answer<"summarizeTasks">;
/** What a list is asked for: filters, `sort`, `limit`. */
export type Selection = Omit<NonNullable<operations["listTasks"]["parameters"]["query"]>, "cursor">;

type Answer<Name extends keyof operations> = operations[Name] extends {
  responses: { 200: { content: { "application/json": infer Body } } };
}
  ? Body
  : never;

export interface Page {
  readonly tasks: Task[];
  /** Where the next page begins; `null`: this is the last. */
  readonly next: string | null;
}

export interface ApiOptions {
  /** The origin of the API. */
  readonly baseUrl: string;
  readonly session: Session;
  readonly fetch?: typeof fetch;
  /** Waits so many milliseconds. */
  readonly sleep?: (milliseconds: number) => Promise<void>;
}

interface Call {
  readonly signal?: AbortSignal | undefined;
}

interface Write extends Call {
  /** The version that was seen: 412 if the task has another by now. */
  readonly ifVersion?: number | undefined;
}

interface Ask extends Write {
  readonly query?: Record<string, unknown>;
  readonly body?: unknown;
  readonly type?: string;
  /** Makes a request one that may be repeated: the server answers its repetition with the first answer. */
  readonly key?: string;
}

const ATTEMPTS = 4;
const PAUSE = 500; // milliseconds before the second attempt; doubled each time
const PAUSE_MAX = 10_000; // milliseconds; who is asked to stay away for longer hears it at once
const IDEMPOTENT = new Set(["GET", "PUT", "DELETE"]); // RFC 9110 §9.2.2

export type Api = ReturnType<typeof createApi>;

export function createApi(options: ApiOptions) {
  const { session } = options;
  const send = options.fetch ?? ((input, init) => fetch(input, init));
  const sleep = options.sleep ?? ((milliseconds) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds)));
  const base = `${options.baseUrl.replace(/\/+$/, "")}/api/me/tasks`;

  /** One attempt: an answer of any status, or a `Problem` where there was none. */
  async function once(method: string, path: string, token: string, ask: Ask): Promise<Response> {
    const headers = new Headers({ accept: "application/json", authorization: `Bearer ${token}` });
    if (ask.body !== undefined) headers.set("content-type", ask.type ?? "application/json");
    if (ask.ifVersion !== undefined) headers.set("if-match", `"${ask.ifVersion}"`);
    if (ask.key) headers.set("idempotency-key", `"${ask.key}"`);
    const init: RequestInit = { method, headers, credentials: "omit", redirect: "error" };
    if (ask.body !== undefined) init.body = JSON.stringify(ask.body);
    if (ask.signal) init.signal = ask.signal;
    try {
      return await send(base + path + search(ask.query), init);
    } catch (error) {
      ask.signal?.throwIfAborted();
      throw Problem.offline(error);
    }
  }

  /** Asks with a good token: a 401 renews it and repeats once; a second one means that the session is over. */
  async function authorized(method: string, path: string, ask: Ask, user: string | null): Promise<Response> {
    for (let refused = 0; ; ) {
      const token = await session.token(ask.signal, user);
      const response = await once(method, path, token, ask);
      if (response.status !== 401) return response;
      session.refuse(token);
      refused += 1;
      if (refused === 2) {
        session.expire(token);
        refused = 0;
      }
    }
  }

  /** Repeats what is busy or away, where that is safe, and reads the answer. */
  async function request(method: string, path: string, ask: Ask = {}): Promise<Response> {
    const user = session.user; // whoever else signs in meanwhile does not get to do this
    const repeatable = IDEMPOTENT.has(method) || ask.key !== undefined;
    // A condition would refuse the repetition of a write whose answer was lost, as if somebody else had written.
    const isConditional = ask.ifVersion !== undefined && ask.key === undefined;
    for (let attempt = 1; ; attempt += 1) {
      const response = await authorized(method, path, ask, user).catch((error: unknown) => {
        if (error instanceof Problem && (error.status === 0 || error.status === 503)) return error;
        throw error;
      });
      if (response instanceof Response && (response.ok || isGone(method, response, attempt))) return response;
      const problem = response instanceof Response ? await Problem.of(response) : response;
      const busy = isUnknown(problem) ? !isConditional : [429, 503].includes(problem.status) || isInFlight(problem);
      const pause = (problem.retryAfter ?? 0) * 1000 || PAUSE * 2 ** (attempt - 1);
      if (!busy || !repeatable || attempt === ATTEMPTS || pause > PAUSE_MAX) throw problem;
      await aborted(sleep(pause), ask.signal);
    }
  }

  const read = async <T>(method: string, path: string, ask?: Ask): Promise<T> =>
    decoded<T>(await request(method, path, ask), ask?.signal);

  /** A page of tasks, newest first unless `sort` says otherwise. `cursor` is the `next` of the page before. */
  async function list(selection: Selection & { cursor?: string } = {}, { signal }: Call = {}): Promise<Page> {
    const response = await request("GET", "", { query: selection, signal });
    return { tasks: await decoded<Task[]>(response, signal), next: nextOf(response) };
  }

  return {
    list,

    /** Every task, page by page: `for await (const task of api.all())`. */
    async *all(selection: Selection = {}, call: Call = {}): AsyncGenerator<Task, void, undefined> {
      let cursor: string | null = null;
      do {
        const page: Page = await list(cursor === null ? selection : { ...selection, cursor }, call);
        yield* page.tasks;
        cursor = page.next;
      } while (cursor !== null);
    },

    /** Creates a task. Safe to repeat: it carries a key, so it is created once; give the same one to try later. */
    create: (task: NewTask, { signal, key = newKey() }: Call & { key?: string } = {}): Promise<Task> =>
      read("POST", "", { body: task, key, signal }),

    /** Reads one task. */
    get: (id: string, { signal }: Call = {}): Promise<Task> => read("GET", one(id), { signal }),

    /** Changes the named fields; `null` empties one. */
    update: (id: string, changes: TaskPatch, write: Write = {}): Promise<Task> =>
      read("PATCH", one(id), { ...write, body: changes, type: "application/merge-patch+json" }),

    /** Sends a whole task back, as it was read and changed. */
    replace: (id: string, task: TaskUpdate, write: Write = {}): Promise<Task> =>
      read("PUT", one(id), { ...write, body: task }),

    /** Completes or reopens a task; without a word on which, it is toggled. Safe to repeat either way. */
    complete: (id: string, completed?: boolean, write: Write = {}): Promise<Task> =>
      read("PATCH", `${one(id)}/complete`, {
        ...write,
        key: newKey(),
        ...(completed === undefined ? {} : { body: { completed } }),
      }),

    /** Moves a task to the trash, or with `permanent` ends it for good. */
    remove: async (id: string, { permanent, ...write }: Write & { permanent?: boolean } = {}): Promise<void> => {
      await request("DELETE", one(id), { ...write, ...(permanent ? { query: { permanent } } : {}) });
    },

    /** Takes a task out of the trash. */
    restore: (id: string, write: Write = {}): Promise<Task> => read("POST", `${one(id)}/restore`, write),

    /** Puts a task right before or after another, in one's own order (`sort: "position"`). */
    move: (id: string, to: { before: string } | { after: string }, write: Write = {}): Promise<Task> =>
      read("POST", `${one(id)}/move`, { ...write, body: to }),

    /** Does up to 100 things, all of them or none. Safe to repeat. An error points at its operation. */
    batch: (operations: BatchOperation[], { signal }: Call = {}): Promise<BatchResults> =>
      read("POST", "/batch", { body: { operations }, key: newKey(), signal }),

    /** Counts tasks: open, done, overdue, due today in a time zone, and by tag. */
    summary: (tz: string, { signal }: Call = {}): Promise<Summary> =>
      read("GET", "/summary", { query: { tz }, signal }),
  };
}

const one = (id: string): string => `/${encodeURIComponent(id)}`;

/** A new key for a request that may be repeated. `crypto.randomUUID` is not there on plain http. */
export const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

async function decoded<T>(response: Response, signal?: AbortSignal): Promise<T> {
  try {
    return (await response.json()) as T;
  } catch {
    signal?.throwIfAborted();
    throw new Problem(response.status, "Not understood", "The server answered something that is no task.");
  }
}

/** A repeated DELETE finds nothing where the first did its work and only its answer was lost. */
function isGone(method: string, response: Response, attempt: number): boolean {
  return method === "DELETE" && attempt > 1 && response.status === 404;
}

/** Nobody knows whether a write was done: no answer came, or the server itself does not know. */
function isUnknown(problem: Problem): boolean {
  return problem.status === 0 || problem.type.endsWith("/outcome-unknown");
}

/** The server is still at work on the first of two requests with one key. */
function isInFlight(problem: Problem): boolean {
  return problem.status === 409 && problem.retryAfter !== null;
}

function search(query: Record<string, unknown> = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    for (const each of Array.isArray(value) ? value : [value])
      if (each !== undefined && each !== null) parameters.append(name, String(each));
  const text = parameters.toString(); // `size` is not there in Safari 16 and Chrome 112
  return text && `?${text}`;
}

/** Reads the cursor of `Link: <…?cursor=…>; rel="next"` (RFC 8288). */
function nextOf(response: Response): string | null {
  const target = /<([^>]*)>;\s*rel="?next"?/.exec(response.headers.get("link") ?? "")?.[1];
  return target === undefined ? null : new URL(target, "http://any").searchParams.get("cursor");
}
