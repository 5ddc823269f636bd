import { tasksFor } from "@/lib/tasks-server";
import { isProblem, type Task } from "@/lib/taskward";

export async function GET(request: Request): Promise<Response> {
  const tasks: Task[] = [];
  try {
    for await (const task of tasksFor(request.headers).all()) tasks.push(task);
  } catch (error) {
    if (isProblem(error)) return error.toResponse();
    throw error;
  }
  return Response.json(tasks, { headers: { "cache-control": "no-store" } });
}
