/**
 * Runs functions when a request has its response, even if Better Auth runs no hook for it (503, 500). Also lets a
 * request that only waits give up its place (`address-limits.ts`).
 */

import { AsyncLocalStorage } from "node:async_hooks";

type End = (status: number) => void;

const requests = new AsyncLocalStorage<End[]>();

/** Answers a request, and then calls all functions that `atEnd` was given meanwhile. */
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

/** Runs a request that has a place. `leave` gives the place to another request. */
export const withPlace = (leave: () => void, run: () => void): void => places.run(leave, run);

/** Gives up the place of the running request. Call this if the rest of the work has another limit, or only waits. */
export const leavePlace = (): void => places.getStore()?.();
