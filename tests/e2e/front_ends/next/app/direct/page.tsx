"use client";
// A page with the documentation's client that calls the API at its own origin. Test code, not documentation.
import { type FormEvent, useState } from "react";
import { api } from "@/lib/tasks-direct";

export default function DirectPage() {
  const [titles, setTitles] = useState<string[]>([]);

  async function add(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    await api.create({ title: String(new FormData(event.currentTarget).get("title")) });
    const { tasks } = await api.list();
    setTitles(tasks.map(({ title }) => title));
  }

  return (
    <form onSubmit={add}>
      <input name="title" aria-label="New task" />
      <button>Add</button>
      <ul>
        {titles.map((title) => (
          <li key={title}>{title}</li>
        ))}
      </ul>
    </form>
  );
}
