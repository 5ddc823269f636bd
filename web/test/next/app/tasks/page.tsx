import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { Suspense } from "react";
import { tasksFor } from "@/lib/tasks-server";
import { isSignedOut } from "@/lib/taskward";
import { TaskList } from "./task-list";

export default function TasksPage() {
  return (
    <main>
      <h1>Tasks</h1>
      <Suspense fallback={<p>Loading …</p>}>
        <MyTasks />
      </Suspense>
    </main>
  );
}

async function MyTasks() {
  const { tasks } = await tasksFor(await headers())
    .list({ completed: false })
    .catch((error: unknown) => {
      if (isSignedOut(error)) redirect("/sign-in");
      throw error;
    });
  return <TaskList first={tasks} />;
}
