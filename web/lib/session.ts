/**
 * The token: fetched when first needed, kept in memory only, renewed before it ends, shared by all who wait.
 *
 * Its age is counted on this device's monotonic clock against the token's own `iat` and `exp`, so a device
 * whose date is wrong is not a problem.
 */

import { Problem } from "./problem";

/** Asks the sign-in service for a token. `null`: nobody is signed in. What it throws means that it cannot be reached. */
export type FetchToken = () => Promise<string | null>;

export interface SessionOptions {
  readonly fetchToken: FetchToken;
  /**
   * `over`: the session is over; ask the person to sign in again, then call `resume()`. Called once until then.
   * `elsewhere`: the person signed out in another tab, and nothing waits.
   */
  readonly onSignedOut?: (how: "over" | "elsewhere") => void;
  /** The person signed in, in another tab: what waited goes on. */
  readonly onSignedIn?: () => void;
  /** Somebody else is signed in now: forget what was shown. Their requests are not sent for the one before. */
  readonly onOtherUser?: () => void;
  /** Milliseconds of a clock that never jumps. */
  readonly clock?: () => number;
  /** Tells other tabs; `null` where there are none. */
  readonly channel?: BroadcastChannel | null;
}

interface Kept {
  readonly token: string;
  readonly user: string;
  readonly renewAt: number;
}

const EARLY = 30_000; // milliseconds before its end at which a token is renewed, or half its life if that is less

export class Session {
  readonly #options: SessionOptions;
  readonly #clock: () => number;
  readonly #channel: BroadcastChannel | null;
  #kept: Kept | null = null;
  #fetching: Promise<Kept | null> | null = null;
  #user: string | null = null;
  /** From one sign-in or sign-out to the next: what was asked for in an earlier one no longer counts. */
  #epoch = { signedOut: false };
  #latest: string | null = null; // the token that was fetched last in this epoch
  #over: { readonly promise: Promise<void>; readonly settle: (error?: Problem) => void } | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
    this.#channel = options.channel === undefined ? openChannel() : options.channel;
    this.#channel?.addEventListener("message", ({ data }) => {
      if (data === "signed-out") this.#forget();
      if (data === "signed-in") {
        this.#arrived();
        options.onSignedIn?.();
      }
    });
  }

  /** Who is signed in: the token's subject; `null` before the first token. */
  get user(): string | null {
    return this.#user;
  }

  /**
   * A token that is good for a while, if it is still this user's; `null` stands for whoever it is.
   * Where the session is over and somebody asks the person to sign in, it waits for them.
   */
  async token(signal?: AbortSignal, user: string | null = this.#user): Promise<string> {
    for (;;) {
      signal?.throwIfAborted();
      if (this.#over) await aborted(this.#over.promise, signal);
      const kept = this.#fresh() ?? (await aborted(this.#fetched(), signal));
      if (kept === null) {
        this.expire();
        continue;
      }
      if (user !== null && user !== kept.user) throw otherUser();
      return kept.token;
    }
  }

  /** This token was not believed: it will not be used again. */
  refuse(token: string): void {
    if (this.#kept?.token === token) this.#kept = null;
  }

  /** The session is over, though nobody asked for it; if a token says so, only while it is the latest. */
  expire(token: string | null = this.#latest): void {
    if (token !== this.#latest) return;
    this.#kept = null;
    if (!this.#options.onSignedOut) throw signedOut();
    if (this.#over) return;
    let settle: (error?: Problem) => void = () => undefined;
    const promise = new Promise<void>((resolve, reject) => {
      settle = (error) => (error ? reject(error) : resolve());
    });
    promise.catch(() => undefined); // nobody may be waiting
    this.#over = { promise, settle };
    this.#options.onSignedOut("over");
  }

  /** The person signed in: waiting requests go on, and other tabs learn of it. */
  resume(): void {
    this.#arrived();
    this.#channel?.postMessage("signed-in");
  }

  /** The person signed out: the token is dropped here and in other tabs; what waits is told. */
  signOut(): void {
    this.#channel?.postMessage("signed-out");
    this.#drop();
  }

  close(): void {
    this.#channel?.close();
  }

  #forget(): void {
    this.#drop();
    this.#options.onSignedOut?.("elsewhere");
  }

  #drop(): void {
    this.#epoch.signedOut = true;
    this.#begin();
    this.#user = null;
    this.#over?.settle(signedOut());
    this.#over = null;
  }

  #arrived(): void {
    this.#begin();
    this.#over?.settle();
    this.#over = null;
    void this.#fetched().catch(() => undefined); // tells whether it is somebody else
  }

  #begin(): void {
    this.#epoch = { signedOut: false };
    this.#kept = null;
    this.#latest = null;
    this.#fetching = null;
  }

  #fresh(): Kept | null {
    return this.#kept && this.#clock() < this.#kept.renewAt ? this.#kept : null;
  }

  #fetched(): Promise<Kept | null> {
    if (this.#fetching) return this.#fetching;
    const fetching = this.#fetch().finally(() => {
      if (this.#fetching === fetching) this.#fetching = null;
    });
    this.#fetching = fetching;
    return fetching;
  }

  async #fetch(): Promise<Kept | null> {
    const began = this.#clock();
    const epoch = this.#epoch;
    const token = await this.#options.fetchToken().catch((error: unknown) => {
      throw error instanceof Problem ? error : Problem.offline(error);
    });
    if (epoch.signedOut) throw signedOut();
    if (epoch !== this.#epoch) return this.#fresh() ?? this.#fetched();
    if (token === null) return null;
    const kept = read(token, began);
    const before = this.#user;
    this.#kept = kept;
    this.#latest = token;
    this.#user = kept.user;
    if (before !== null && before !== kept.user) this.#options.onOtherUser?.();
    return kept;
  }
}

function signedOut(): Problem {
  return new Problem(401, "Signed out", "Sign in to go on.", "urn:taskward:client:signed-out");
}

function otherUser(): Problem {
  return new Problem(
    403,
    "Somebody else is signed in",
    "Nothing was sent: somebody else is signed in now.",
    "urn:taskward:client:other-user",
  );
}

/** Reads whose token it is and how long it lives. Nothing is verified: that is the server's to do. */
function read(token: string, began: number): Kept {
  const { sub, iat, exp } = claims(token);
  if (typeof sub !== "string")
    throw new Problem(502, "Sign-in service", "The sign-in service answered something that is no token: try again.");
  const life = typeof iat === "number" && typeof exp === "number" ? (exp - iat) * 1000 : Number.POSITIVE_INFINITY;
  return { token, user: sub, renewAt: began + life - Math.min(EARLY, life / 2) };
}

function claims(token: string): Record<string, unknown> {
  try {
    const part = token.split(".")[1] ?? "";
    const bytes = Uint8Array.from(atob(part.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
  } catch {
    return {};
  }
}

function openChannel(): BroadcastChannel | null {
  // Node has channels too, which would keep a script from ending; only a page has other tabs.
  return typeof window === "undefined" || typeof BroadcastChannel === "undefined"
    ? null
    : new BroadcastChannel("taskward-session");
}

/** Waits for a promise, or for the signal, whichever comes first. */
export function aborted<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return promise;
  if (signal.aborted) return Promise.reject(signal.reason as Error);
  return new Promise<T>((resolve, reject) => {
    const stop = () => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
