import { authClient } from "./auth-client";
import { createTaskward } from "./taskward";

const look = () => window.dispatchEvent(new Event("look-who-is-signed-in")); // src/App.tsx listens

export const { api, session } = createTaskward({
  auth: authClient,
  baseUrl: "", // this origin: vite.config.ts passes /api/me/tasks on
  whenSignedOut: "wait", // calls wait until the person has signed in again, so nothing typed is lost
  onSignedOut: (how) => (how === "elsewhere" ? window.location.reload() : look()), // signed out in another tab: clear the screen
  onOtherUser: look,
});
