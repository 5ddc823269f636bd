import { type FormEvent, useEffect, useState } from "react";
import { authClient } from "./auth-client";
import { messageOf } from "./messages";
import { SignIn } from "./sign-in";
import { api, session } from "./tasks";
import { isConflict, type Task } from "./taskward";

export default function App() {
  const { data, isPending, refetch } = authClient.useSession();
  const [shownFor, setShownFor] = useState<string | null>(null); // the list stays while its person signs in again
  const user = data?.user.id ?? null;
  if (user !== null && user !== shownFor) setShownFor(user); // another person: `key={shownFor}` makes React create a new list

  useEffect(() => {
    const refetchSession = () => void refetch();
    window.addEventListener("refetch-session", refetchSession);
    return () => window.removeEventListener("refetch-session", refetchSession);
  }, [refetch]);

  async function signOut() {
    const { error } = await authClient.signOut();
    if (error) return;
    session.signedOut(); // other tabs get the news before this page is reloaded
    window.location.reload(); // a whole new page: nothing of this person stays
  }

  if (isPending && shownFor === null) return <p>Loading …</p>;
  return (
    <main>
      {user === null && <SignIn />}
      {shownFor !== null && <TaskList key={shownFor} user={shownFor} />}
      {user !== null && (
        <button type="button" onClick={signOut}>
          Sign out
        </button>
      )}
    </main>
  );
}

function TaskList({ user }: { user: string }) {
  const [tasks, setTasks] = useState<Task[]>([]);
  const [edited, setEdited] = useState<Task | null>(null); // as the person saw it last: at the start of the edit, or after a conflict
  const [message, setMessage] = useState("");

  useEffect(() => {
    session.cleared(user); // first: from here on, what is loaded is for this user
    const controller = new AbortController();
    api.list({ completed: false }, { signal: controller.signal }).then(
      (page) => setTasks(page.tasks),
      (error: unknown) => !controller.signal.aborted && setMessage(messageOf(error)),
    );
    return () => controller.abort();
  }, [user]);

  /** Runs an action. If it fails, shows the error and keeps the typed text. */
  async function attempt(action: () => Promise<void>) {
    try {
      await action();
      setMessage("");
    } catch (error) {
      setMessage(messageOf(error));
    }
  }

  function create(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    return attempt(async () => {
      const task = await api.create({ title: String(new FormData(form).get("title")) });
      form.reset();
      setTasks((before) => [task, ...before]);
    });
  }

  function save(event: FormEvent<HTMLFormElement>, { id, version }: Task) {
    event.preventDefault();
    const title = String(new FormData(event.currentTarget).get("title"));
    return attempt(async () => {
      try {
        replace(await api.update(id, { title }, { ifVersion: version }));
        setEdited(null);
      } catch (error) {
        if (!isConflict(error)) throw error;
        const now = await api.get(id);
        replace(now);
        setEdited(now); // the field keeps what was typed
        throw new Error(`Meanwhile this task became “${now.title}”. Save again to replace that.`);
      }
    });
  }

  const replace = (task: Task) => setTasks((before) => before.map((each) => (each.id === task.id ? task : each)));

  return (
    <>
      <form onSubmit={create}>
        <input name="title" aria-label="New task" required />
        <button type="submit">Add</button>
      </form>
      <p role="alert">{message}</p>
      <ul>
        {tasks.map((task) => (
          <li key={task.id}>
            {edited?.id === task.id ? (
              <form onSubmit={(event) => save(event, edited)}>
                <input name="title" aria-label="Title" defaultValue={task.title} required />
                <button type="submit">Save</button>
              </form>
            ) : (
              <button type="button" onClick={() => setEdited(task)}>
                {task.title}
              </button>
            )}
          </li>
        ))}
      </ul>
    </>
  );
}
