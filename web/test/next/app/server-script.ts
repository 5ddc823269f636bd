/** The same client where there is no page: a token from wherever the server has one. */

import { createApi, type NewTask, Session } from "@/lib/api";

export async function remind(token: string): Promise<number> {
  const api = createApi({
    baseUrl: "https://tasks.example.com",
    session: new Session({ fetchToken: async () => token }),
  });
  const task: NewTask = { title: "Water the plants", due: "2026-01-31", priority: "high" };
  const { id, version } = await api.create(task);
  await api.update(id, { tags: ["home"] }, { ifVersion: version });
  let open = 0;
  for await (const each of api.all({ sort: "due", completed: false })) open += each.completed ? 0 : 1;
  return open;
}
