// A common mistake: a page rendered by the server uses the client for browsers. Test code, not documentation.
import { createAuthClient } from "better-auth/client";
import { connection } from "next/server";
import { Suspense } from "react";
import { createTaskward, isProblem } from "@/lib/taskward";

const { api } = createTaskward({
  auth: createAuthClient(),
  baseUrl: process.env.TASKS_URL ?? "",
  whenSignedOut: "wait",
  onSignedOut: () => undefined, // nobody is there who could sign in
});

async function Count() {
  await connection();
  try {
    const { tasks } = await api.list();
    return <p>{tasks.length} tasks</p>;
  } catch (error) {
    return <p>Refused: {isProblem(error) ? error.type : String(error)}</p>;
  }
}

export default function RenderedPage() {
  return (
    <Suspense>
      <Count />
    </Suspense>
  );
}
