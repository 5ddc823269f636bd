/** Signs people in, up and out at Better Auth. Errors are a `Problem`, like those of the task client. */

import { createAuthClient } from "better-auth/client";
import { Problem } from "../lib";
import { seconds } from "./words";

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly email: string;
}

export interface Credentials {
  readonly email: string;
  readonly password: string;
}

interface AuthResponse<T> {
  readonly data: T | null;
  readonly error: AuthError | null;
}

interface AuthError {
  readonly status: number;
  readonly code?: string | undefined;
  readonly message?: string | undefined;
}

/** The options of a request to Better Auth. */
interface Options {
  readonly onError: (context: { readonly response: Response }) => void;
}

export const authClient = createAuthClient();

/** Returns who is signed in; `null` if nobody is. */
export async function currentPerson(): Promise<Person | null> {
  const { data, error } = await orOffline(authClient.getSession());
  if (error) throw problemOf(error.status);
  return data ? { id: data.user.id, name: data.user.name, email: data.user.email } : null;
}

export async function signIn(credentials: Credentials): Promise<void> {
  await send((options) => authClient.signIn.email(credentials, options));
}

/** Makes an account. Returns whether the person is signed in; false while the e-mail address is not confirmed. */
export async function signUp(person: Credentials & { readonly name: string }): Promise<boolean> {
  const data = await send<{ token: string | null }>((options) => authClient.signUp.email(person, options));
  return data !== null && data.token !== null;
}

/** Signs out. Throws if the server does not do it, because then the session cookie is still there. */
export async function signOut(): Promise<void> {
  const { error } = await orOffline(authClient.signOut());
  const hadNoSession = error?.status === 400 || error?.status === 401;
  if (error && !hadNoSession) throw problemOf(error.status);
}

/** Sends what a person typed into a form. Throws a `Problem` whose `detail` the form shows. */
async function send<T>(request: (options: Options) => Promise<AuthResponse<T>>): Promise<T | null> {
  let wait = 0; // seconds
  const onError: Options["onError"] = ({ response }) => {
    wait = Number(response.headers.get("retry-after"));
  };
  const { data, error } = await orOffline(request({ onError }));
  if (error) throw problemOf(error.status, messageOf(error, wait));
  return data;
}

/** Returns Better Auth's message. A 429 of a rate limit has no code, and its message does not say how long to wait. */
function messageOf({ status, code, message }: AuthError, wait: number): string | undefined {
  return status === 429 && !code && wait > 0 ? `Too many requests. Try again in ${seconds(wait)}.` : message;
}

/** Waits for a response, and throws a `Problem` of the type `offline` if none comes. */
const orOffline = <T>(response: Promise<AuthResponse<T>>): Promise<AuthResponse<T>> =>
  response.catch((cause: unknown) => Promise.reject(problemOf(0, undefined, cause)));

function problemOf(status: number, message?: string, cause?: unknown): Problem {
  const detail = message || "The sign-in service does not answer as it should: try again.";
  const type = status === 0 ? "offline" : "sign-in-unavailable";
  return new Problem(
    status === 0
      ? {
          type,
          status,
          title: "No connection",
          detail: "The server cannot be reached: check the connection, and try again.",
        }
      : { type, status, title: "Not signed in", detail },
    cause,
  );
}
