/** Better Auth in the browser, joined to the task API's session. */

import { createAuthClient } from "better-auth/client";
import { Problem } from "./problem";
import { type FetchToken, Session, type SessionOptions } from "./session";

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly email: string;
}

export interface Credentials {
  readonly email: string;
  readonly password: string;
}

interface Told {
  readonly error: { readonly status: number; readonly message?: string | undefined } | null;
}

/** `baseUrl` is the origin of Better Auth, or with a path where it is (Neon Auth); without one it is the page's own. */
export function createAuth(baseUrl?: string, options: Omit<SessionOptions, "fetchToken"> = {}) {
  const client = createAuthClient(baseUrl ? { baseURL: baseUrl } : {});

  /** The session cookie is what a token is given for; it is out of reach of scripts. */
  const fetchToken: FetchToken = async () => {
    const { data, error } = await client
      .$fetch<{ token: string }>("/token", { credentials: "include" })
      .catch(() => Promise.reject(Problem.offline()));
    if (error?.status === 401) return null;
    if (error || !data) throw unreachable(error?.status);
    return data.token;
  };
  const session = new Session({ ...options, fetchToken });

  async function expectSuccess(answer: Promise<Told>): Promise<void> {
    const { error } = await answer.catch(() => Promise.reject(Problem.offline()));
    if (error) throw new Problem(error.status, "Not signed in", error.message ?? "That did not work: try again.");
  }

  return {
    session,

    /** Who is signed in; `null`: nobody. */
    async person(): Promise<Person | null> {
      const { data, error } = await client.getSession().catch(() => Promise.reject(Problem.offline()));
      if (error) throw unreachable(error.status);
      return data ? { id: data.user.id, name: data.user.name, email: data.user.email } : null;
    },

    /** Signs in; whatever waits for it goes on. */
    async signIn(credentials: Credentials): Promise<void> {
      await expectSuccess(client.signIn.email(credentials));
      session.resume();
    },

    /** Makes an account and signs in. */
    async signUp(person: Credentials & { readonly name: string }): Promise<void> {
      await expectSuccess(client.signUp.email(person));
      session.resume();
    },

    /** Signs out, in every tab. Where nobody answers the cookie is still there, so it throws, and nobody is signed out. */
    async signOut(): Promise<void> {
      const { error } = await client.signOut().catch(() => Promise.reject(Problem.offline()));
      const isSignedOut = !error || error.status === 400 || error.status === 401; // those two: there was no session
      if (!isSignedOut) throw unreachable(error.status);
      session.signOut();
    },
  };
}

export type Auth = ReturnType<typeof createAuth>;

function unreachable(status?: number): Problem {
  if (!status) return Problem.offline();
  return new Problem(status, "Sign-in service", "The sign-in service does not answer as it should: try again.");
}
