/** The client where there is neither a page nor DOM types: a script that has a token. */

import { createTaskward, type NewTask } from "../../lib/index.js";

export async function remind(token: string): Promise<number> {
  const { api } = createTaskward({ auth: async () => token, baseUrl: "https://tasks.example.com" });
  const task: NewTask = { title: "Water the plants", due: "2026-01-31", priority: "high" };
  const { id, version } = await api.create(task);
  await api.update(id, { tags: ["home"] }, { ifVersion: version });
  let open = 0;
  for await (const each of api.all({ sort: "due", completed: false })) open += each.completed ? 0 : 1;
  return open;
}
