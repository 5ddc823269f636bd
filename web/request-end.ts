/**
 * What is to be done when a request has its answer, also where Better Auth runs no hook any more (503, 500), and how a
 * request that only waits lets others work (`address-limits.ts`).
 */

import { AsyncLocalStorage } from "node:async_hooks";

type End = (status: number) => void;

const requests = new AsyncLocalStorage<End[]>();

/** Answers a request, and then does all that `atEnd` was given meanwhile. */
export async function untilEnd(answer: () => Promise<Response>): Promise<Response> {
  const ends: End[] = [];
  let status = 500;
  try {
    const response = await requests.run(ends, answer);
    status = response.status;
    return response;
  } finally {
    for (const end of ends) end(status);
  }
}

/** Calls `end` with the status of the response to the running request. */
export function atEnd(end: End): void {
  const ends = requests.getStore();
  if (!ends) throw new Error("no request is running: wrap the handler in untilEnd");
  ends.push(end);
}

const places = new AsyncLocalStorage<() => void>();

/** Runs a request that has a place, which `leave` gives to another. */
export const withPlace = (leave: () => void, run: () => void): void => places.run(leave, run);

/** The request under way gives up its place: what it does from here on has a bound of its own, or takes no work. */
export const leavePlace = (): void => places.getStore()?.();
