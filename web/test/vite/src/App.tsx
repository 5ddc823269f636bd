import { type FormEvent, useEffect, useState } from "react";
import { authClient } from "./auth-client";
import { api, session } from "./tasks";
import { isProblem, isSignedOut, type Task } from "./taskward";

export default function App() {
  const { data, isPending, refetch } = authClient.useSession();
  const [shownFor, setShownFor] = useState<string | null>(null); // the list stays while its person signs in again
  const user = data?.user.id ?? null;
  if (user !== null && shownFor === null) setShownFor(user);

  useEffect(() => {
    const look = () => void refetch(); // finds that nobody is signed in: the form below appears
    window.addEventListener("signed-out", look);
    return () => window.removeEventListener("signed-out", look);
  }, [refetch]);

  async function signOut() {
    const { error } = await authClient.signOut();
    if (error) return;
    session.signedOut();
    window.location.reload(); // a whole new page: nothing of this person stays
  }

  if (isPending && shownFor === null) return <p>Loading …</p>;
  return (
    <main>
      {user === null && <SignIn />}
      {shownFor !== null && <TaskList key={shownFor} />}
      {user !== null && (
        <button type="button" onClick={signOut}>
          Sign out
        </button>
      )}
    </main>
  );
}

function SignIn() {
  const [isNew, setNew] = useState(false);
  const [message, setMessage] = useState("");

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? "");
    const credentials = { email: text("email"), password: text("password") };
    const { error } = isNew
      ? await authClient.signUp.email({ ...credentials, name: text("name") })
      : await authClient.signIn.email(credentials);
    if (error) setMessage(error.message ?? "That did not work: try again.");
  }

  return (
    <form onSubmit={submit}>
      {isNew && (
        <label>
          Name <input name="name" autoComplete="name" required />
        </label>
      )}
      <label>
        E-mail <input name="email" type="email" autoComplete="email" required />
      </label>
      <label>
        Password{" "}
        <input name="password" type="password" autoComplete={isNew ? "new-password" : "current-password"} required />
      </label>
      <button type="submit">{isNew ? "Sign up" : "Sign in"}</button>
      <button type="button" onClick={() => setNew(!isNew)}>
        {isNew ? "I have an account" : "Make an account"}
      </button>
      <p role="alert">{message}</p>
    </form>
  );
}

function TaskList() {
  const [tasks, setTasks] = useState<Task[]>([]);
  const [message, setMessage] = useState("");

  useEffect(() => {
    const controller = new AbortController();
    api.list({ completed: false }, { signal: controller.signal }).then(
      (page) => setTasks(page.tasks),
      (error: unknown) => !controller.signal.aborted && setMessage(messageOf(error)),
    );
    return () => controller.abort();
  }, []);

  async function create(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    try {
      const task = await api.create({ title: String(new FormData(form).get("title")) });
      form.reset(); // only now: what was typed stays until it is kept
      setTasks((before) => [task, ...before]);
      setMessage("");
    } catch (error) {
      setMessage(messageOf(error));
    }
  }

  return (
    <>
      <form onSubmit={create}>
        <input name="title" aria-label="New task" required />
        <button type="submit">Add</button>
      </form>
      <p role="alert">{message}</p>
      <ul>
        {tasks.map((task) => (
          <li key={task.id}>{task.title}</li>
        ))}
      </ul>
    </>
  );
}

function messageOf(error: unknown): string {
  if (isSignedOut(error)) return "Sign in to go on.";
  if (isProblem(error)) return error.errors[0]?.detail ?? error.detail;
  return "Something went wrong: try again.";
}
