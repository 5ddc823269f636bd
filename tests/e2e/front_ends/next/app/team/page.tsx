"use client";
// A page with a team's own client of Better Auth. Nothing on it leads to another page. Test code, not documentation.
import { passkeyClient } from "@better-auth/passkey/client";
import { createAuthClient } from "better-auth/react";
import { type FormEvent, useEffect, useState } from "react";
import { createTaskward, isProblem } from "@/lib/taskward";

const authClient = createAuthClient({ basePath: "/api/team-auth", plugins: [passkeyClient()] });
let clear: (() => void) | null = null; // set by `?clears`: for another person the page is then cleared, and not loaded again
const { api, session } = createTaskward({
  auth: authClient,
  baseUrl: "",
  onOtherUser: () => {
    if (!clear) return window.location.reload();
    clear();
    session.cleared();
  },
});

export default function TeamPage() {
  const { data } = authClient.useSession();
  const [email, setEmail] = useState("");
  const [title, setTitle] = useState("");
  const [titles, setTitles] = useState<string[]>([]);
  const [status, setStatus] = useState("");
  const user = data?.user.id;

  useEffect(() => {
    if (window.location.search === "?clears")
      clear = () => {
        setTitle("");
        setTitles([]);
      };
  }, []);

  useEffect(() => {
    if (!user) return;
    api.list().then(
      ({ tasks }) => setTitles(tasks.map((task) => task.title)),
      (error: unknown) => setStatus(isProblem(error) ? error.type : String(error)),
    );
  }, [user]);

  async function add(event: FormEvent) {
    event.preventDefault();
    try {
      const task = await api.create({ title });
      setTitles((before) => [task.title, ...before]);
      setStatus(`kept ${title}`);
    } catch (error) {
      setStatus(isProblem(error) ? `${error.type}: ${title}` : String(error));
    }
  }

  async function attempt(answer: Promise<{ error: { message?: string | undefined } | null } | undefined>) {
    const result = await answer;
    if (result?.error) setStatus(`not signed in: ${result.error.message}`);
  }

  const person = { email, password: "correct horse battery" };
  return (
    <main>
      <p>Signed in: {data ? data.user.email : "nobody"}</p>
      <label>
        E-mail <input value={email} onChange={(event) => setEmail(event.target.value)} />
      </label>
      <button onClick={() => attempt(authClient.signUp.email({ name: "Ann", ...person }))}>Sign up</button>
      <button onClick={() => attempt(authClient.signIn.email(person))}>Sign in</button>
      <button onClick={() => attempt(authClient.signIn.social({ provider: "company", callbackURL: "/team" }))}>
        Sign in with Company
      </button>
      <button onClick={() => attempt(authClient.passkey.addPasskey({ name: "mine" }))}>Add a passkey</button>
      <button onClick={() => attempt(authClient.signIn.passkey())}>Sign in with a passkey</button>
      <button onClick={() => attempt(authClient.signOut())}>Sign out</button>
      <form onSubmit={add}>
        <label>
          New task <input value={title} onChange={(event) => setTitle(event.target.value)} />
        </label>
        <button>Add</button>
      </form>
      <p role="status">{status}</p>
      <ul>
        {titles.map((each, index) => (
          <li key={index}>{each}</li>
        ))}
      </ul>
    </main>
  );
}
