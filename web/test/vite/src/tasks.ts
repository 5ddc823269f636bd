import { authClient } from "./auth-client";
import { createTaskward } from "./taskward";

const refetchSession = () => window.dispatchEvent(new Event("refetch-session")); // src/App.tsx listens

export const { api, session } = createTaskward({
  auth: authClient,
  baseUrl: "", // this origin: vite.config.ts passes /api/me/tasks on
  whenSignedOut: "wait", // calls wait until the person has signed in again, so nothing typed is lost
  onSignedOut: (how) => {
    if (how === "elsewhere")
      window.location.reload(); // signed out in another tab: clear the screen
    else refetchSession();
  },
  onOtherUser: refetchSession,
});
