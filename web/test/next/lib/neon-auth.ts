import { createAuthClient } from "better-auth/client";
import { createApi, Session } from "@/lib/api";

/** `https://ep-….neon.tech/<database>/auth`, as Neon's console shows it. */
const neonAuthUrl = process.env["NEXT_PUBLIC_NEON_AUTH_URL"] ?? "";

export const neon = createAuthClient({ baseURL: neonAuthUrl });

const session = new Session({
  fetchToken: async () => {
    const { data, error } = await neon.$fetch<{ token: string }>("/token", { credentials: "include" });
    if (error && error.status !== 401) throw new Error(`Neon Auth answers ${error.status}`);
    return data?.token ?? null;
  },
  onSignedOut: () => window.location.assign("/sign-in"),
});
export const api = createApi({ baseUrl: process.env["NEXT_PUBLIC_TASKS_URL"] ?? "", session });
