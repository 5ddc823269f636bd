"use client";

import { useActionState } from "react";
import { addTask } from "../actions";

export default function NewTaskPage() {
  const [added, action, isPending] = useActionState(addTask, { title: "", errors: [] });
  return (
    <main>
      <h1>New task</h1>
      <form action={action}>
        <input name="title" aria-label="Title" defaultValue={added.title} />
        {added.errors.map(({ pointer, detail }) => (
          <p role="alert" key={pointer}>
            {pointer.slice(1)}: {detail}
          </p>
        ))}
        <button type="submit" disabled={isPending}>
          Add
        </button>
      </form>
    </main>
  );
}
