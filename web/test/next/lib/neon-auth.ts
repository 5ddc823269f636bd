import { createApi } from "@/lib/api";
import { createAuth } from "@/lib/auth";

/** `https://ep-….neon.tech/<database>/auth`, as Neon's console shows it: tokens are asked for below it. */
export const auth = createAuth(process.env["NEXT_PUBLIC_NEON_AUTH_URL"], {
  onSignedOut: () => window.location.assign("/sign-in"),
});
export const api = createApi({ baseUrl: process.env["NEXT_PUBLIC_TASKS_URL"] ?? "", session: auth.session });
