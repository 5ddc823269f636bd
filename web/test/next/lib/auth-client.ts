import { createApi } from "@/lib/api";
import { createAuth } from "@/lib/auth";

const tasksUrl = process.env["NEXT_PUBLIC_TASKS_URL"] ?? "http://127.0.0.1:8000";

export const auth = createAuth(undefined, {
  onSignedOut: (how) => window.dispatchEvent(new CustomEvent("signed-out", { detail: how })),
  onOtherUser: () => window.location.reload(),
});
export const api = createApi({ baseUrl: tasksUrl, session: auth.session });
