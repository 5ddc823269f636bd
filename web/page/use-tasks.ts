/** The tasks on the screen: changed at once, and put back where the server refuses. */

import { useCallback, useEffect, useRef, useState } from "react";
import { flushSync } from "react-dom";
import {
  type Api,
  type Change,
  isConflict,
  isOtherUser,
  isProblem,
  isSignedOut,
  type ListQuery,
  type NewTask,
  newKey,
  type Page,
  type Task,
  type TaskPatch,
} from "../lib";
import { belongs, placed } from "./arrange";
import { focusRow, isWriting } from "./focus";
import type { Notice } from "./notice";
import { UNDO_KEYS, type Undo } from "./undo";
import { explain, type FieldErrors, fieldErrors, isWorthRepeating } from "./words";

interface Shown {
  readonly tasks: readonly Task[];
  readonly next: string | null;
  readonly phase: "loading" | "ready" | "failed";
  readonly error?: unknown; // why it failed
}

/** What became of an edit. */
export type Saved =
  | { readonly kind: "kept" }
  | { readonly kind: "conflict"; readonly now: Task } // somebody else changed the task since it was opened
  | { readonly kind: "gone" }
  | { readonly kind: "refused"; readonly message: string; readonly errors: FieldErrors };

export const DRAFT = "draft-"; // begins the id of a task that the server has not answered yet
const PAGE = 50; // tasks
const LIST_MAX = 1_000; // tasks that one request can read
const WAS_DELETED = "was deleted, in another window or on another device.";
const WAS_RESTORED = "was already restored, in another window or on another device.";
let drafts = 0;

interface Hears {
  readonly notify: (notice: Notice) => void; // shows it
  readonly say: (text: string) => void; // to who does not see the list
}

export function useTasks(api: Api, selection: ListQuery, { notify, say }: Hears) {
  const [undo, setUndo] = useState<Undo | null>(null);
  const [shown, setShown] = useState<Shown>({ tasks: [], next: null, phase: "loading" });
  const [isLive, setLive] = useState(true);
  const loading = useRef<AbortController | null>(null);
  const written = useRef(0); // how many writes have begun or ended
  const underway = useRef(0); // how many writes were sent and not answered
  const unsure = useRef(new Map<string, string>()); // keys of tasks that may have been kept without an answer
  const count = useRef(0); // of tasks on the screen
  const isLoading = useRef(false);
  const isLoadingMore = useRef(false);
  const held = useRef(new Map<string, Change>()); // what happened elsewhere, and is not shown yet
  const isStale = useRef(false); // what happened elsewhere is not known: the list has to be read again
  const showHeld = useRef((): void => undefined);
  const edited = useRef(new Set<string>()); // ids of tasks whose form is open
  const kept = useRef(new Set<string>()); // ids of those that the list has no more
  const shownFor = useRef(""); // the selection whose list is on the screen
  const wanted = JSON.stringify(selection);
  count.current = shown.tasks.length;

  const setTasks = useCallback(
    (change: Edit) => setShown((before) => ({ ...before, tasks: change(before.tasks) })),
    [],
  );
  /** Puts a task where the list has it, or takes it off. */
  const place = (task: Task) => setShown((before) => ({ ...before, tasks: withTask(before, task, selection) }));

  /** Loads the list from its beginning, or with a cursor the page that follows. */
  const load = useCallback(
    async (cursor?: string, limit?: number) => {
      loading.current?.abort();
      loading.current = new AbortController();
      const { signal } = loading.current;
      isLoading.current = true;
      isLoadingMore.current = cursor !== undefined;
      const query = { ...(JSON.parse(wanted) as ListQuery), ...(cursor && { cursor }), ...(limit && { limit }) };
      try {
        let page: Page;
        let before: number;
        do {
          before = written.current;
          page = await api.list(query, { signal });
        } while (!cursor && before !== written.current); // a list that was read while something was written is old
        const isSame = shownFor.current === wanted;
        shownFor.current = wanted;
        const read = new Set(page.tasks.map(({ id }) => id));
        if (!isSame) say(query.q ? found(page) : "");
        if (!cursor) kept.current = new Set([...edited.current].filter((id) => !read.has(id)));
        setShown(({ tasks }) => ({
          // A task whose form is open stays unchanged, even if another version was read meanwhile.
          tasks: cursor
            ? merged(tasks, page.tasks)
            : withEdited(merged(tasks.filter(isDraft), page.tasks), isSame ? tasks : [], edited.current),
          next: page.next,
          phase: "ready",
        }));
      } catch (error) {
        if (!signal.aborted) setShown((before) => ({ ...before, phase: "failed", error }));
      } finally {
        if (!signal.aborted) {
          isLoading.current = isLoadingMore.current = false;
          showHeld.current();
        }
      }
    },
    [api, wanted, say],
  );
  /** Reads everything on the screen again, unless a write or the load of a further page is in progress. */
  const refresh = useCallback(async () => {
    if (underway.current > 0 || isLoadingMore.current) return;
    isStale.current = false;
    await load(undefined, Math.min(LIST_MAX, Math.max(PAGE, count.current)));
  }, [load]);

  useEffect(() => {
    setShown((before) => ({ ...before, phase: before.tasks.length > 0 ? before.phase : "loading" }));
    setUndo(null); // its place was in another list
    void load();
    return () => loading.current?.abort();
  }, [load]);

  useEffect(() => {
    // When the person comes back to this page, it shows what changed in another window or on another device.
    const refreshIfVisible = () => document.visibilityState === "visible" && void refresh();
    document.addEventListener("visibilitychange", refreshIfVisible);
    window.addEventListener("focus", refreshIfVisible);
    window.addEventListener("online", refreshIfVisible);
    return () => {
      document.removeEventListener("visibilitychange", refreshIfVisible);
      window.removeEventListener("focus", refreshIfVisible);
      window.removeEventListener("online", refreshIfVisible);
    };
  }, [refresh]);

  // During a write or a load it is unknown which version is newer, and a form keeps the task that it was opened for.
  showHeld.current = () => {
    if (underway.current > 0 || isLoading.current) return;
    if (isStale.current) return void refresh(); // which calls this again
    const changes = [...held.current.values()].filter(({ id }) => !edited.current.has(id));
    for (const { id } of changes) held.current.delete(id);
    setShown((before) => changes.reduce((list, change) => withChange(list, change, selection), before));
  };

  useEffect(() => {
    const leaving = new AbortController();
    const follow = (change: Change) => {
      setUndo((undo) => (undo && isUndone(undo.task, change) ? null : undo));
      held.current.set(change.id, change);
      showHeld.current();
    };
    const onResync = () => {
      isStale.current = true;
      showHeld.current();
    };
    // Without a stream the list is read again on coming back.
    api.live(follow, { onResync, onLive: setLive, signal: leaving.signal }).catch(() => undefined);
    return () => leaving.abort();
  }, [api]);

  /** Keeps a task as and where it is while its form is open. Returns what ends that. */
  const keep = useCallback((id: string) => {
    edited.current.add(id);
    return () => {
      edited.current.delete(id);
      if (kept.current.delete(id)) isStale.current = true;
      showHeld.current();
    };
  }, []);

  async function write<T>(send: () => Promise<T>): Promise<T> {
    written.current += 1;
    underway.current += 1;
    try {
      return await send();
    } finally {
      written.current += 1;
      underway.current -= 1;
      showHeld.current();
    }
  }

  /** Shows a change before it is written; takes back this change, and no other, where it is refused. */
  async function act<T>(task: Task, failed: string, change: Edit, back: Edit, send: () => Promise<T>) {
    setTasks(change);
    try {
      return await write(send);
    } catch (error) {
      const isGone = isProblem(error) && error.status === 404;
      setTasks(isGone ? without(task.id) : back);
      if (isOurs(error)) return undefined;
      const again = () => void act(task, failed, change, back, send).then(refresh);
      notify({
        title: task.title,
        text: isGone ? WAS_DELETED : `${failed} ${explain(error)}`,
        ...(isWorthRepeating(error) && { action: { label: "Try again", run: again } }),
      });
      return undefined;
    }
  }

  /** Does what takes a task off the list. */
  const actWithout = <T>(failed: string, task: Task, send: () => Promise<T>) => {
    const at = shown.tasks.findIndex(({ id }) => id === task.id);
    return act(task, failed, without(task.id), inserted(task, at), send).then((answer) => {
      if (answer !== undefined) setTasks(without(task.id)); // a list that was read meanwhile may have it
      return answer;
    });
  };

  return {
    ...shown,
    undo,
    isLive,
    keep,
    reload: () => load(),
    more: () => (shown.next && shown.phase === "ready" ? load(shown.next) : undefined),

    /** Adds a task in its place; resolves to whether it was kept. */
    async add(task: NewTask): Promise<boolean> {
      const text = JSON.stringify(task);
      drafts += 1;
      const now = new Date().toISOString();
      // Sorts behind every id of version 7, as the newest task does.
      const draft = { ...EMPTY, ...task, id: `${DRAFT}${drafts}`, created_at: now, updated_at: now } as Task;
      let key = "";
      try {
        key = unsure.current.get(text) ?? newKey(); // it may have been kept, and its answer lost
        place(draft);
        const made = await write(() => api.create(task, { key }));
        unsure.current.delete(text);
        setTasks(without(draft.id));
        place(made);
        if (belongs(made, selection)) say(`“${made.title}” was added.`);
        else notify({ title: made.title, text: "was added. This list does not show it." });
        return true;
      } catch (error) {
        if (key && isProblem(error) && (error.status === 0 || error.status === 503)) unsure.current.set(text, key);
        setTasks(without(draft.id));
        if (!isOurs(error)) notify({ title: task.title, text: `was not added. ${explain(error)}` });
        return false;
      }
    },

    async toggle(task: Task) {
      const { id, completed } = task;
      const answer = await act(
        task,
        "was not changed.",
        changed(id, { completed: !completed }),
        changed(id, { completed }),
        () => api.complete(id, !completed),
      );
      if (answer) setTasks(changed(id, answer));
    },

    /** Saves an edit of the version that was seen. */
    async save({ id, version }: Task, changes: TaskPatch): Promise<Saved> {
      try {
        const saved = await write(() => api.update(id, changes, { ifVersion: version }));
        place(saved);
        return { kind: "kept" };
      } catch (error) {
        if (isConflict(error)) {
          const now = await api.get(id).catch(() => null);
          if (now && now.trashed_at === null) {
            setTasks(changed(id, now));
            return { kind: "conflict", now };
          }
          return { kind: "gone" };
        }
        if (isProblem(error) && error.status === 404) return { kind: "gone" };
        return { kind: "refused", message: `Not saved. ${explain(error)}`, errors: fieldErrors(error) };
      }
    },

    /** Takes a task off the screen that is no longer there. */
    forget: ({ id }: Task) => setTasks(without(id)),

    async remove(task: Task) {
      const at = shown.tasks.findIndex(({ id }) => id === task.id);
      const after = shown.tasks[at - 1]?.id ?? null;
      const removed = actWithout("is still there.", task, () => api.remove(task.id).then(() => true));
      let isRunning = false;
      const run = async () => {
        if (isRunning) return;
        isRunning = true;
        if (!(await removed)) return;
        try {
          const back = await write(() => api.restore(task.id));
          const mayTakeFocus = !isWriting(document.activeElement);
          flushSync(() => {
            place(back);
            setUndo(none);
          });
          if (mayTakeFocus) focusRow(task.id);
          say(`“${task.title}” is back.`);
        } catch (error) {
          setUndo(none);
          const isRestored = isProblem(error) && error.type === "not-in-trash";
          const isGone = isProblem(error) && error.status === 404;
          const text = isRestored ? WAS_RESTORED : isGone ? WAS_DELETED : `is still in the trash. ${explain(error)}`;
          notify({ title: task.title, text });
          if (isRestored) await refresh();
        }
      };
      const mine: Undo = { task, after, run: () => void run() };
      const none = (now: Undo | null) => (now === mine ? null : now);
      setUndo(mine);
      if (await removed) say(`“${task.title}” is in the trash. ${UNDO_KEYS} undoes it.`);
      else setUndo(none);
    },

    async restore(task: Task) {
      if (await actWithout("is still in the trash.", task, () => api.restore(task.id)))
        say(`“${task.title}” was restored.`);
    },

    async end(task: Task) {
      const send = () => api.remove(task.id, { permanent: true }).then(() => true);
      if (await actWithout("is still in the trash.", task, send)) say(`“${task.title}” was deleted forever.`);
    },

    /** Moves a task one place up or down in the manual order. */
    async move(task: Task, by: -1 | 1) {
      const at = shown.tasks.findIndex(({ id }) => id === task.id);
      const beside = shown.tasks[at + by];
      if (!beside) return say(`“${task.title}” is ${by < 0 ? "the first" : "the last"} one.`);
      const of = shown.next ? "" : ` of ${shown.tasks.length}`;
      say(`“${task.title}”, position ${at + by + 1}${of}.`);
      const to = by < 0 ? { before: beside.id } : { after: beside.id };
      const moved = await act(task, "was not moved.", shifted(task.id, by), shifted(task.id, by < 0 ? 1 : -1), () =>
        api.move(task.id, to),
      );
      if (moved) setTasks(changed(task.id, moved));
    },
  };
}

type Edit = (tasks: readonly Task[]) => readonly Task[];

const changed =
  (id: string, change: Partial<Task>): Edit =>
  (tasks) =>
    tasks.map((task) => (task.id === id ? { ...task, ...change } : task));

const without =
  (id: string): Edit =>
  (tasks) =>
    tasks.filter((task) => task.id !== id);

const inserted =
  (task: Task, at: number): Edit =>
  (tasks) =>
    tasks.some(({ id }) => id === task.id) ? tasks : [...tasks.slice(0, at), task, ...tasks.slice(at)];

const shifted =
  (id: string, by: -1 | 1): Edit =>
  (tasks) => {
    const at = tasks.findIndex((task) => task.id === id);
    const [task, beside] = [tasks[at], tasks[at + by]];
    return task && beside ? tasks.with(at, beside).with(at + by, task) : tasks;
  };

const isDraft = ({ id }: Task): boolean => id.startsWith(DRAFT);

/** The session's own problems: the page shows them elsewhere. */
const isOurs = (error: unknown): boolean => isSignedOut(error) || isOtherUser(error);

/** Returns whether a trashed task was deleted or restored elsewhere: each of the two increments its version by one. */
const isUndone = (before: Task, { id, task }: Change): boolean =>
  id === before.id && (task === null || (task.trashed_at === null && task.version > before.version + 1));

/** Counts what a search found, as a sentence. */
function found({ tasks, next }: Page): string {
  if (tasks.length === 0) return "No task was found.";
  if (tasks.length === 1) return "1 task was found.";
  return next ? `More than ${tasks.length} tasks were found.` : `${tasks.length} tasks were found.`;
}

/** The tasks of a list with a task in its place. One that was just completed stays, to be reopened. */
function withTask({ tasks, next }: Shown, task: Task, selection: ListQuery): readonly Task[] {
  const { completed, ...others } = selection;
  const isTicked = completed === false && task.completed;
  return placed(tasks, task, isTicked ? others : selection, { hasMore: next !== null });
}

/** The list after a change from elsewhere. It stays unchanged if it already has that version. */
function withChange(shown: Shown, { id, task }: Change, selection: ListQuery): Shown {
  const known = shown.tasks.find((each) => each.id === id);
  if (!task) return { ...shown, tasks: without(id)(shown.tasks) };
  if (known && known.version >= task.version) return shown;
  if (known) return { ...shown, tasks: withTask(shown, task, selection) };
  return { ...shown, tasks: placed(shown.tasks, task, selection, { hasMore: shown.next !== null }) };
}

/** A list that was read anew, with the tasks whose form is open, each where it was. */
function withEdited(read: readonly Task[], before: readonly Task[], edited: ReadonlySet<string>): readonly Task[] {
  return before.reduce((tasks, task, at) => (edited.has(task.id) ? inserted(task, at)(tasks) : tasks), read);
}

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
