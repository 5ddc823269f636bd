import { QueryClient, QueryClientProvider, useMutation, useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { authClient } from "./auth-client";
import { messageOf } from "./messages";
import { SignIn } from "./sign-in";
import { createTaskward, type Task } from "./taskward";

const queryClient = new QueryClient({
  defaultOptions: { queries: { retry: false }, mutations: { retry: false } },
});

const { api, session } = createTaskward({ auth: authClient, baseUrl: "", onOtherUser: () => queryClient.clear() });

export default function App() {
  const { data, isPending } = authClient.useSession();
  if (isPending) return <p>Loading …</p>;
  if (!data) return <SignIn />;
  return (
    <QueryClientProvider client={queryClient}>
      <TaskTitles key={data.user.id} user={data.user.id} />
      <button type="button" onClick={() => authClient.signOut()}>
        Sign out
      </button>
    </QueryClientProvider>
  );
}

function TaskTitles({ user }: { user: string }) {
  useEffect(() => {
    session.cleared(user); // before the query, so that its first request is for this user
  }, [user]);

  const key = ["tasks", user];
  const { data = [], error } = useQuery({
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
    // Do not restore tasks into a cache that was cleared for another user.
    onError: (_error, _change, context) => queryClient.setQueryData<Task[]>(key, (now) => now && context?.before),
    onSettled: () => void queryClient.invalidateQueries({ queryKey: key }), // not awaited: the message is shown at once
  });
  const failure = rename.error ?? error;

  return (
    <>
      <p role="alert">{failure && messageOf(failure)}</p>
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
    </>
  );
}
