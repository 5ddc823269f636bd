import { authClient } from "./auth-client";
import { createTaskward } from "./taskward";

export const { api, session } = createTaskward({
  auth: authClient,
  baseUrl: "", // this origin: vite.config.ts passes /api/me/tasks on
  whenSignedOut: "wait", // what was typed is kept as soon as its person has signed in again
  onSignedOut: () => window.dispatchEvent(new Event("signed-out")),
});
