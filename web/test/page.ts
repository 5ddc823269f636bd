/** Makes this process look like a page to the client, in a test file that imports it. Each test begins with the only tab of a browser. */

import { afterEach, mock } from "node:test";

type Listener = (event: never) => void;

const globals = globalThis as unknown as Record<string, unknown>;
const listeners: { readonly type: string; readonly listener: Listener }[] = [];
const tabs = new Set<Tab>();

/** Fires an event of the page, such as "focus". */
export function fireEvent(type: string, properties: object = {}): void {
  for (const each of listeners) if (each.type === type) each.listener({ type, ...properties } as never);
}

/** A channel between the tabs of this process, which delivers at once. */
class Tab {
  readonly #name: string;
  readonly #listeners: Listener[] = [];

  constructor(name: string) {
    this.#name = name;
    tabs.add(this);
  }

  addEventListener(_: string, listener: Listener): void {
    this.#listeners.push(listener);
  }

  removeEventListener(): void {
    this.#listeners.length = 0;
  }

  postMessage(data: unknown): void {
    if (!tabs.has(this)) return; // a page of an earlier test
    for (const tab of tabs)
      if (tab !== this && tab.#name === this.#name) for (const listener of tab.#listeners) listener({ data } as never);
  }

  close(): void {
    tabs.delete(this);
  }
}

/** The Web Locks of this process, which Node 20 lacks: each name is held by one at a time, in the order of the requests. */
class Locks {
  readonly #ends = new Map<string, Promise<unknown>>();

  async request<T>(name: string, { signal }: { signal: AbortSignal }, work: () => Promise<T>): Promise<T> {
    const before = this.#ends.get(name);
    const held = (before ?? Promise.resolve()).then(() => {
      signal.throwIfAborted();
      return work();
    });
    this.#ends.set(
      name,
      held.catch(() => undefined),
    );
    return held;
  }
}

globals["window"] = globalThis;
Object.defineProperty(globals, "navigator", { value: { locks: new Locks() } });
globals["addEventListener"] = (type: string, listener: Listener) => void listeners.push({ type, listener });
globals["removeEventListener"] = (type: string, listener: Listener) => {
  const at = listeners.findIndex((each) => each.type === type && each.listener === listener);
  if (at >= 0) listeners.splice(at, 1);
};
globals["BroadcastChannel"] = Tab;

afterEach(() => {
  mock.restoreAll();
  mock.timers.reset();
  listeners.length = 0;
  tabs.clear();
});
