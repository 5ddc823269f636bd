"use client";
/** A component as somebody's Next.js project would have it; its compiler settings are those of create-next-app. */

import { useEffect, useState } from "react";
import { createApi, Problem, type Task } from "@/lib/api";
import { createAuth } from "@/lib/auth";

const auth = createAuth("https://app.example.com");
const api = createApi({ baseUrl: "https://tasks.example.com", session: auth.session });

export default function TasksClient() {
  const [tasks, setTasks] = useState<Task[]>([]);
  useEffect(() => {
    const controller = new AbortController();
    api.list({ completed: false, tag: ["home"] }, { signal: controller.signal }).then(
      ({ tasks }) => setTasks(tasks),
      (error: unknown) => error instanceof Problem && console.error(error.status, error.errors),
    );
    return () => controller.abort();
  }, []);
  return tasks.map((task) => <p key={task.id}>{task.title}</p>);
}
