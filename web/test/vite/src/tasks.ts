import { authClient } from "./auth-client";
import { createTaskward } from "./taskward";

const look = () => window.dispatchEvent(new Event("look-who-is-signed-in")); // src/App.tsx listens

export const { api, session } = createTaskward({
  auth: authClient,
  baseUrl: "", // this origin: vite.config.ts passes /api/me/tasks on
  whenSignedOut: "wait", // what was typed is kept as soon as its person has signed in again
  onSignedOut: (how) => (how === "elsewhere" ? window.location.reload() : look()), // in another tab: show nothing of theirs
  onOtherUser: look,
});
