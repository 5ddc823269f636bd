import { createTaskward } from "@/lib/taskward";
import { authClient } from "./auth-client";

export const { api, session } = createTaskward({
  auth: authClient,
  baseUrl: "", // this origin: next.config.ts passes /api/me/tasks on
  onSignedOut: (how) => {
    if (how === "elsewhere") window.location.replace("/sign-in"); // in another tab: nothing of this person may stay
  },
});
