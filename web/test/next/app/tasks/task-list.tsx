"use client";

import { type FormEvent, useState } from "react";
import { authClient } from "@/lib/auth-client";
import { api, session } from "@/lib/tasks";
import { isConflict, isProblem, isSignedOut, type Task } from "@/lib/taskward";

export function TaskList({ first }: { first: Task[] }) {
  const [tasks, setTasks] = useState(first);
  const [edited, setEdited] = useState<Task | null>(null); // as the person saw it last: at the start of the edit, or after a conflict
  const [failure, setFailure] = useState<unknown>(null);

  /** Runs an action. If it fails, shows the error and keeps the typed text. */
  async function attempt(action: () => Promise<void>) {
    try {
      await action();
      setFailure(null);
    } catch (error) {
      setFailure(error);
    }
  }

  function create(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const title = String(new FormData(form).get("title"));
    return attempt(async () => {
      const task = await api.create({ title });
      form.reset();
      setTasks((before) => [task, ...before]);
    });
  }

  function complete(task: Task) {
    return attempt(async () => replace(await api.complete(task.id, !task.completed)));
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

  async function signOut() {
    const { error } = await authClient.signOut();
    if (error) return setFailure(new Error("You are still signed in: try again."));
    session.signedOut(); // other tabs get the news before this page is closed
    window.location.replace("/sign-in"); // a whole new page: nothing of this person stays
  }

  return (
    <>
      <form onSubmit={create}>
        <input name="title" aria-label="New task" required />
        <button type="submit">Add</button>
      </form>
      <p role="alert">
        {failure !== null && messageOf(failure)}{" "}
        {isSignedOut(failure) && (
          <a href="/sign-in" target="_blank" rel="noreferrer">
            Sign in in a new tab
          </a>
        )}
      </p>
      <ul>
        {tasks.map((task) =>
          edited?.id === task.id ? (
            <li key={task.id}>
              <form onSubmit={(event) => save(event, edited)}>
                <input name="title" aria-label="Title" defaultValue={task.title} required />
                <button type="submit">Save</button>
                <button type="button" onClick={() => setEdited(null)}>
                  Cancel
                </button>
              </form>
            </li>
          ) : (
            <li key={task.id}>
              <label>
                <input type="checkbox" checked={task.completed} onChange={() => complete(task)} /> {task.title}
              </label>
              <button type="button" onClick={() => setEdited(task)}>
                Edit {task.title}
              </button>
            </li>
          ),
        )}
      </ul>
      <button type="button" onClick={signOut}>
        Sign out
      </button>
    </>
  );
}

function messageOf(error: unknown): string {
  if (isSignedOut(error)) return "Your session is over. What you typed stays here: sign in, then press again.";
  if (isProblem(error)) return error.detail;
  return error instanceof Error ? error.message : "Something went wrong: try again.";
}
