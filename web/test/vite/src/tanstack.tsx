import { QueryClient, useMutation, useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { api, session } from "./tasks";
import type { Task } from "./taskward";

export const queryClient = new QueryClient({
  defaultOptions: { queries: { retry: false }, mutations: { retry: false } },
});

export function TaskTitles({ user }: { user: string }) {
  const key = ["tasks", user];
  const { data = [] } = useQuery({
    queryKey: key,
    queryFn: async ({ signal }) => (await api.list({ completed: false }, { signal })).tasks,
  });
  const rename = useMutation({
    mutationFn: ({ task, title }: { task: Task; title: string }) =>
      api.update(task.id, { title }, { ifVersion: task.version }),
    onMutate: async ({ task, title }) => {
      await queryClient.cancelQueries({ queryKey: key });
      const before = queryClient.getQueryData<Task[]>(key);
      queryClient.setQueryData<Task[]>(key, (tasks) =>
        tasks?.map((each) => (each.id === task.id ? { ...each, title } : each)),
      );
      return { before };
    },
    onError: (_error, _change, context) => queryClient.setQueryData(key, context?.before),
    onSettled: () => queryClient.invalidateQueries({ queryKey: key }),
  });

  useEffect(() => session.cleared(user), [user]); // this component is made anew for each user

  return (
    <ul>
      {data.map((task) => (
        <li key={task.id}>
          {task.title}{" "}
          <button type="button" onClick={() => rename.mutate({ task, title: `${task.title}!` })}>
            Louder
          </button>
        </li>
      ))}
    </ul>
  );
}
