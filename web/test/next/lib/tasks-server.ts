import "server-only";
import { auth } from "@/lib/auth";
import { type Api, apiFor } from "@/lib/taskward";

/** For one request: `tasksFor(await headers())`. Never keep it: the next request is another person's. */
export function tasksFor(headers: Headers): Api {
  const baseUrl = process.env.TASKS_URL;
  if (!baseUrl) throw new Error("Set TASKS_URL");
  return apiFor(headers, { auth, baseUrl });
}
