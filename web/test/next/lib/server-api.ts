import { type Api, createApi, Session } from "@/lib/api";
import { auth } from "@/lib/auth-server";

/** For one request, on the server: `apiFor(await headers())`. Never keep it: the next request is another person's. */
export function apiFor(headers: Headers): Api {
  const fetchToken = async () => {
    const signedIn = await auth.api.getSession({ headers });
    return signedIn && (await auth.api.getToken({ headers })).token;
  };
  return createApi({
    baseUrl: process.env.NEXT_PUBLIC_TASKS_URL ?? "http://localhost:8000",
    session: new Session({ fetchToken }),
  });
}
