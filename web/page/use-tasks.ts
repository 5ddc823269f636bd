/** The tasks on the screen: changed at once, put back where the server refuses. */

import { useCallback, useEffect, useRef, useState } from "react";
import type { Api, NewTask, Selection, Task, TaskPatch } from "../lib/api";
import { Problem } from "../lib/problem";

export interface Notice {
  readonly text: string;
  readonly action?: { readonly label: string; readonly run: () => void };
}

interface Shown {
  readonly tasks: readonly Task[];
  readonly next: string | null;
  readonly phase: "loading" | "ready" | "failed";
}

export const DRAFT = "draft-"; // begins the id of a task that the server has not answered yet

export function useTasks(api: Api, selection: Selection, notify: (notice: Notice | null) => void) {
  const [shown, setShown] = useState<Shown>({ tasks: [], next: null, phase: "loading" });
  const loading = useRef<AbortController | null>(null);
  const unsure = useRef(new Map<string, string>()); // keys of tasks of which nobody knows whether they were kept
  const wanted = JSON.stringify(selection);

  const setTasks = useCallback(
    (change: Change) => setShown((before) => ({ ...before, tasks: change(before.tasks) })),
    [],
  );

  const load = useCallback(
    async (cursor?: string) => {
      loading.current?.abort();
      loading.current = new AbortController();
      const { signal } = loading.current;
      try {
        const page = await api.list({ ...(JSON.parse(wanted) as Selection), ...(cursor && { cursor }) }, { signal });
        setShown(({ tasks }) => ({
          // What is being written stays, whatever was read meanwhile.
          tasks: merged(cursor ? tasks : tasks.filter(isDraft), page.tasks),
          next: page.next,
          phase: "ready",
        }));
      } catch {
        if (!signal.aborted) setShown((before) => ({ ...before, phase: "failed" }));
      }
    },
    [api, wanted],
  );

  useEffect(() => {
    setShown((before) => ({ ...before, phase: before.tasks.length > 0 ? before.phase : "loading" }));
    void load();
    return () => loading.current?.abort();
  }, [load]);

  /** Shows a change before it is written; takes back this change, and no other, where it is refused. */
  async function act<T>(what: string, change: Change, back: Change, write: () => Promise<T>) {
    setTasks(change);
    try {
      return await write();
    } catch (error) {
      setTasks(back);
      if (error instanceof Problem && error.type.startsWith("urn:taskward:client:")) return undefined;
      notify({
        text: `${what} ${error instanceof Problem ? error.detail : "That did not work."}`,
        action: { label: "Try again", run: () => void act(what, change, back, write).then(() => load()) },
      });
      return undefined;
    }
  }

  const replace = (task: Task) => setTasks((tasks) => tasks.map((each) => (each.id === task.id ? task : each)));
  /** Does what takes a task off the list. */
  const actWithout = <T>(what: string, task: Task, write: () => Promise<T>) => {
    const at = shown.tasks.findIndex(({ id }) => id === task.id);
    return act(what, without(task.id), inserted(task, at), write);
  };

  return {
    ...shown,
    reload: () => load(),
    more: () => (shown.next && shown.phase === "ready" ? load(shown.next) : undefined),

    /** Adds a task at the top; resolves to whether it was kept. */
    async add(task: NewTask): Promise<boolean> {
      const said = JSON.stringify(task);
      const key = unsure.current.get(said) ?? crypto.randomUUID(); // it may have been kept, and its answer lost
      const draft = { ...EMPTY, ...task, id: `${DRAFT}${crypto.randomUUID()}` } as Task;
      setTasks((tasks) => [draft, ...tasks]);
      try {
        const made = await api.create(task, { key });
        unsure.current.delete(said);
        setTasks((tasks) => {
          const others = tasks.filter(({ id }) => id !== made.id);
          return others.some(({ id }) => id === draft.id)
            ? others.map((each) => (each.id === draft.id ? made : each))
            : [made, ...others];
        });
        return true;
      } catch (error) {
        if (error instanceof Problem && (error.status === 0 || error.status === 503)) unsure.current.set(said, key);
        setTasks(without(draft.id));
        notify({ text: `Not added. ${error instanceof Problem ? error.detail : ""}` });
        return false;
      }
    },

    async toggle({ id, completed, title }: Task) {
      const task = await act(
        `“${title}” is as it was.`,
        changed(id, { completed: !completed }),
        changed(id, { completed }),
        () => api.complete(id, !completed),
      );
      if (task) replace(task);
    },

    /** Saves an edit of the version that was seen; resolves to whether it was kept. */
    async save({ id, version }: Task, changes: TaskPatch): Promise<boolean> {
      try {
        replace(await api.update(id, changes, { ifVersion: version }));
        return true;
      } catch (error) {
        if (error instanceof Problem && error.status === 412) {
          const now = await api.get(id).catch(() => null);
          if (now) replace(now);
          notify({ text: "Somebody changed this task meanwhile. Look at it again, and save once more." });
        } else notify({ text: `Not saved. ${error instanceof Problem ? error.detail : ""}` });
        return false;
      }
    },

    async remove(task: Task) {
      const done = await actWithout(`“${task.title}” is still there.`, task, () =>
        api.remove(task.id).then(() => true),
      );
      if (!done) return;
      const undo = async () => {
        notify(null);
        const restored = await api.restore(task.id).catch(() => null);
        if (restored) await load();
        else notify({ text: "Not brought back: it waits in the trash." });
      };
      notify({ text: `“${task.title}” is in the trash.`, action: { label: "Undo", run: () => void undo() } });
    },

    async restore(task: Task) {
      await actWithout(`“${task.title}” is still in the trash.`, task, () => api.restore(task.id));
    },

    async end(task: Task) {
      await actWithout(`“${task.title}” is still there.`, task, () => api.remove(task.id, { permanent: true }));
    },

    /** Puts a task one place up or down, in one's own order. */
    async move(task: Task, by: -1 | 1) {
      const at = shown.tasks.findIndex(({ id }) => id === task.id);
      const beside = shown.tasks[at + by];
      if (!beside) return;
      const to = by < 0 ? { before: beside.id } : { after: beside.id };
      const moved = await act(
        `“${task.title}” stayed where it was.`,
        shifted(task.id, by),
        shifted(task.id, by < 0 ? 1 : -1),
        () => api.move(task.id, to),
      );
      if (moved) replace(moved);
    },
  };
}

type Change = (tasks: readonly Task[]) => readonly Task[];

const changed =
  (id: string, change: Partial<Task>): Change =>
  (tasks) =>
    tasks.map((task) => (task.id === id ? { ...task, ...change } : task));

const without =
  (id: string): Change =>
  (tasks) =>
    tasks.filter((task) => task.id !== id);

const inserted =
  (task: Task, at: number): Change =>
  (tasks) =>
    tasks.some(({ id }) => id === task.id) ? tasks : [...tasks.slice(0, at), task, ...tasks.slice(at)];

const shifted =
  (id: string, by: -1 | 1): Change =>
  (tasks) => {
    const at = tasks.findIndex((task) => task.id === id);
    const [task, beside] = [tasks[at], tasks[at + by]];
    return task && beside ? tasks.with(at, beside).with(at + by, task) : tasks;
  };

const isDraft = ({ id }: Task): boolean => id.startsWith(DRAFT);

/** One list after another, each task once. */
function merged(first: readonly Task[], second: readonly Task[]): readonly Task[] {
  const known = new Set(first.map(({ id }) => id));
  return [...first, ...second.filter(({ id }) => !known.has(id))];
}

const EMPTY = {
  description: null,
  completed: false,
  due: null,
  priority: "none",
  tags: [],
  position: "",
  version: 0,
  completed_at: null,
  trashed_at: null,
} as const;
