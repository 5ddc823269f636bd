/** The tasks on the screen. Most changes are shown at once, and are taken back if the server refuses them. */

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
import { belongs, withPlaced } from "./arrange";
import { focusRow, isWriting } from "./focus";
import type { Notice } from "./notice";
import { HOW_TO_UNDO, type Undo } from "./undo";
import { unsaved } from "./unsaved";
import { explain, type FieldErrors, fieldErrors, isWorthRepeating } from "./words";

interface Shown {
  readonly tasks: readonly Task[];
  readonly next: string | null;
  readonly phase: "loading" | "ready" | "failed";
  readonly error?: unknown; // why it failed
  readonly selection: string; // that the tasks were read for, as JSON
}

/** The result of saving an edit. */
export type Saved =
  | { readonly kind: "saved" }
  | { readonly kind: "conflict"; readonly now: Task } // the task was changed elsewhere since it was opened
  | { readonly kind: "gone" }
  | { readonly kind: "refused"; readonly message: string; readonly errors: FieldErrors };

export const DRAFT_PREFIX = "draft-"; // begins the id of a task that the server has not answered yet
const PAGE_SIZE = 50; // tasks
const LIST_MAX = 1_000; // tasks that one request can read
const WAS_DELETED = "was deleted, in another window or on another device.";
const WAS_RESTORED = "was already restored, in another window or on another device.";
let drafts = 0;

interface Messages {
  readonly notify: (notice: Notice) => void; // shows it
  readonly say: (text: string) => void; // for screen readers
}

export function useTasks(api: Api, selection: ListQuery, { notify, say }: Messages) {
  const [undo, setUndo] = useState<Undo | null>(null);
  const latestUndo = useRef(undo); // for `remove` after a request, when `undo` there is old
  latestUndo.current = undo;
  const [shown, setShown] = useState<Shown>({ tasks: [], next: null, phase: "loading", selection: "" });
  const [isLive, setLive] = useState(true);
  const loading = useRef<AbortController | null>(null);
  const writeEvents = useRef(0); // how many times a write has begun or ended
  const openWrites = useRef(0); // how many writes were sent and not answered
  const unsureKeys = useRef(new Map<string, string>()); // by the JSON of a task: its key, if the server may have stored it
  const count = useRef(0); // of tasks on the screen
  const isLoading = useRef(false);
  const isLoadingMore = useRef(false);
  const held = useRef(new Map<string, Change>()); // changes made elsewhere that are not shown yet, by the id of the task
  const isStale = useRef(false); // changes made elsewhere were missed: the list has to be read again
  const showHeld = useRef((): void => undefined);
  const edited = useRef(new Set<string>()); // ids of tasks whose form is open
  const notUpdated = useRef(new Set<string>()); // ids of those that stayed as they were when the list was last read
  const shownFor = useRef(""); // the selection whose list is on the screen
  const wanted = JSON.stringify(selection);
  count.current = shown.tasks.length;

  const setTasks = useCallback(
    (change: ListEdit) => setShown((before) => ({ ...before, tasks: change(before.tasks) })),
    [],
  );
  /** Puts a task in its place, or takes it off if the list does not show it. */
  const place = (task: Task) => setShown((before) => ({ ...before, tasks: withTask(before, task, selection) }));

  /** Loads the list from its beginning, or with a cursor the page that follows. Resolves to `undefined` if this failed. */
  const load = useCallback(
    async (cursor?: string, limit?: number): Promise<Page | undefined> => {
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
          before = writeEvents.current;
          page = await api.list(query, { signal });
        } while (!cursor && before !== writeEvents.current); // a list that was read during a write may be old
        const isSameList = shownFor.current === wanted;
        shownFor.current = wanted;
        if (!isSameList && query.q) say(foundInWords(page));
        const kept = isSameList ? edited.current : unsaved; // if another list is read, only forms with unsaved changes stay
        if (!cursor) notUpdated.current = new Set(kept);
        setShown(({ tasks }) => ({
          // A task whose form is open stays unchanged, even if another version was read meanwhile.
          tasks: cursor
            ? merged(tasks, page.tasks)
            : withEdited(merged(tasks.filter(isDraft), page.tasks), tasks, kept),
          next: page.next,
          phase: "ready",
          selection: wanted,
        }));
        return page;
      } catch (error) {
        if (!signal.aborted)
          setShown((before) => ({
            // The tasks of another list would be under a wrong name, but no form loses unsaved text.
            tasks: before.selection === wanted ? before.tasks : before.tasks.filter(({ id }) => unsaved.has(id)),
            next: before.selection === wanted ? before.next : null,
            phase: "failed",
            error,
            selection: wanted,
          }));
        return undefined;
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
    if (openWrites.current > 0 || isLoadingMore.current) return;
    isStale.current = false;
    await load(undefined, Math.min(LIST_MAX, Math.max(PAGE_SIZE, count.current)));
  }, [load]);

  useEffect(() => {
    setShown((before) => ({ ...before, phase: before.tasks.length > 0 ? before.phase : "loading" }));
    setUndo(null); // its place was in another list
    say(""); // the last announcement was about another list
    void load();
    return () => loading.current?.abort();
  }, [load, say]);

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
    if (openWrites.current > 0 || isLoading.current) return;
    if (isStale.current) return void refresh(); // which calls this again
    const changes = [...held.current.values()].filter(({ id }) => !edited.current.has(id));
    for (const { id } of changes) held.current.delete(id);
    setShown((before) => changes.reduce((list, change) => withChange(list, change, selection), before));
  };

  useEffect(() => {
    const leaving = new AbortController();
    const follow = (change: Change) => {
      setUndo((undo) => (undo && hasLeftTrash(undo.task, change) ? null : undo));
      held.current.set(change.id, change);
      showHeld.current();
    };
    const onResync = () => {
      isStale.current = true;
      showHeld.current();
    };
    // If `live` rejects, there is no stream. The list is still read again when the person comes back.
    api.live(follow, { onResync, onLive: setLive, signal: leaving.signal }).catch(() => undefined);
    return () => leaving.abort();
  }, [api]);

  /** Keeps a task unchanged and in its place, while its form is open. Returns a function that ends this. */
  const keep = useCallback((id: string) => {
    edited.current.add(id);
    return () => {
      edited.current.delete(id);
      if (notUpdated.current.delete(id)) isStale.current = true;
      showHeld.current();
    };
  }, []);

  async function write<T>(send: () => Promise<T>): Promise<T> {
    writeEvents.current += 1;
    openWrites.current += 1;
    try {
      return await send();
    } finally {
      writeEvents.current += 1;
      openWrites.current -= 1;
      showHeld.current();
    }
  }

  /**
   * Shows a change, and then sends it. If it is refused, `back` takes back only this change, and a notice begins with
   * `failed`. If the server does not have the task any more, the task is taken off.
   */
  async function act<T>(task: Task, failed: string, change: ListEdit, back: ListEdit, send: () => Promise<T>) {
    setTasks(change);
    try {
      return await write(send);
    } catch (error) {
      const isGone = isProblem(error) && error.status === 404;
      setTasks(isGone ? without(task.id) : back);
      if (isOfSession(error)) return undefined;
      const again = () => void act(task, failed, change, back, send).then(refresh);
      notify({
        title: task.title,
        text: isGone ? WAS_DELETED : `${failed} ${explain(error)}`,
        ...(isWorthRepeating(error) && { action: { label: "Try again", run: again } }),
      });
      return undefined;
    }
  }

  /** Takes a task off the list, and then sends the request for it. */
  const takeOff = <T>(failed: string, task: Task, send: () => Promise<T>) => {
    const at = shown.tasks.findIndex(({ id }) => id === task.id);
    return act(task, failed, without(task.id), inserted(task, at), send).then((answer) => {
      if (answer !== undefined) setTasks(without(task.id)); // a list that was read meanwhile may have it
      return answer;
    });
  };

  return {
    ...shown,
    isOfAnotherSelection: shown.selection !== wanted && shown.tasks.length > 0, // while this one is loaded
    undo,
    isLive,
    keep,
    reload: () => load(),
    more: () => (shown.next && shown.phase === "ready" ? load(shown.next) : undefined),

    /** Adds a task in its place. Resolves to whether the server has stored it. */
    async add(task: NewTask): Promise<boolean> {
      const text = JSON.stringify(task);
      drafts += 1;
      const now = new Date().toISOString();
      // This id sorts after every UUID of version 7, so the draft is in the place of the newest task.
      const draft = { ...EMPTY, ...task, id: `${DRAFT_PREFIX}${drafts}`, created_at: now, updated_at: now } as Task;
      let key = "";
      try {
        key = unsureKeys.current.get(text) ?? newKey(); // with the key of an earlier attempt it is stored only once
        place(draft);
        const made = await write(() => api.create(task, { key }));
        unsureKeys.current.delete(text);
        setTasks(without(draft.id));
        place(made);
        if (belongs(made, selection)) say(`“${made.title}” was added.`);
        else notify({ title: made.title, text: "was added. This list does not show it.", cause: "list" });
        return true;
      } catch (error) {
        if (key && isProblem(error) && (error.status === 0 || error.status === 503)) unsureKeys.current.set(text, key);
        setTasks(without(draft.id));
        if (!isOfSession(error))
          notify({ title: task.title, text: `was not added. ${explain(error)}`, cause: "new task" });
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

    /** Saves an edit of a version. If the server has another version by now, nothing is saved: `conflict`. */
    async save({ id, version }: Task, changes: TaskPatch): Promise<Saved> {
      try {
        const saved = await write(() => api.update(id, changes, { ifVersion: version }));
        place(saved);
        return { kind: "saved" };
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

    /** Takes off the screen a task that the server no longer has. */
    forget: ({ id }: Task) => setTasks(without(id)),

    async remove(task: Task) {
      const at = shown.tasks.findIndex(({ id }) => id === task.id);
      const after = shown.tasks[at - 1]?.id ?? null;
      const removed = takeOff("is still there.", task, () => api.remove(task.id).then(() => true));
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
            setUndo(withoutMine);
          });
          if (mayTakeFocus) focusRow(task.id);
          say(`“${task.title}” is back.`);
        } catch (error) {
          setUndo(withoutMine);
          const isRestored = isProblem(error) && error.type === "not-in-trash";
          const isGone = isProblem(error) && error.status === 404;
          const text = isRestored ? WAS_RESTORED : isGone ? WAS_DELETED : `is still in the trash. ${explain(error)}`;
          notify({ title: task.title, text });
          if (isRestored) await refresh();
        }
      };
      const mine: Undo = { task, after, run: () => void run() };
      const withoutMine = (now: Undo | null) => (now === mine ? null : now);
      setUndo(mine);
      if (await removed) say(`“${task.title}” is in the trash.${latestUndo.current === mine ? ` ${HOW_TO_UNDO}` : ""}`);
      else setUndo(withoutMine);
    },

    async restore(task: Task) {
      if (await takeOff("is still in the trash.", task, () => api.restore(task.id)))
        say(`“${task.title}” was restored.`);
    },

    async deleteForever(task: Task) {
      const send = () => api.remove(task.id, { permanent: true }).then(() => true);
      if (await takeOff("is still in the trash.", task, send)) say(`“${task.title}” was deleted forever.`);
    },

    /** Moves a task one place up or down in the manual order. If it is the last one here, it first loads the next page. */
    async move(task: Task, by: -1 | 1) {
      let { tasks, next } = shown;
      const at = tasks.findIndex(({ id }) => id === task.id);
      if (!tasks[at + by] && by > 0 && next) {
        const page = await load(next);
        if (!page) return;
        tasks = merged(tasks, page.tasks);
        next = page.next;
      }
      const beside = tasks[at + by];
      if (!beside) return say(`“${task.title}” is ${by < 0 ? "the first" : "the last"} one.`);
      const of = next ? "" : ` of ${tasks.length}`;
      say(`“${task.title}”, position ${at + by + 1}${of}.`);
      const to = by < 0 ? { before: beside.id } : { after: beside.id };
      const moved = await act(task, "was not moved.", shifted(task.id, by), shifted(task.id, by < 0 ? 1 : -1), () =>
        api.move(task.id, to),
      );
      if (moved) setTasks(changed(task.id, moved));
    },
  };
}

type ListEdit = (tasks: readonly Task[]) => readonly Task[];

const changed =
  (id: string, change: Partial<Task>): ListEdit =>
  (tasks) =>
    tasks.map((task) => (task.id === id ? { ...task, ...change } : task));

const without =
  (id: string): ListEdit =>
  (tasks) =>
    tasks.filter((task) => task.id !== id);

const inserted =
  (task: Task, at: number): ListEdit =>
  (tasks) =>
    tasks.some(({ id }) => id === task.id) ? tasks : [...tasks.slice(0, at), task, ...tasks.slice(at)];

const shifted =
  (id: string, by: -1 | 1): ListEdit =>
  (tasks) => {
    const at = tasks.findIndex((task) => task.id === id);
    const [task, beside] = [tasks[at], tasks[at + by]];
    return task && beside ? tasks.with(at, beside).with(at + by, task) : tasks;
  };

const isDraft = ({ id }: Task): boolean => id.startsWith(DRAFT_PREFIX);

/** Returns whether a problem is one of the session: the page shows these elsewhere. */
const isOfSession = (error: unknown): boolean => isSignedOut(error) || isOtherUser(error);

/** Returns whether a trashed task was deleted or restored elsewhere. A move to the trash and a restore each add one to its version. */
const hasLeftTrash = (before: Task, { id, task }: Change): boolean =>
  id === before.id && (task === null || (task.trashed_at === null && task.version > before.version + 1));

/** Returns in a sentence how many tasks a search found. */
function foundInWords({ tasks, next }: Page): string {
  if (tasks.length === 0) return "No task was found.";
  if (tasks.length === 1) return "1 task was found.";
  return next ? `More than ${tasks.length} tasks were found.` : `${tasks.length} tasks were found.`;
}

/** Returns a list with a task in its place. A task that was just completed stays, so it can be reopened. */
function withTask({ tasks, next }: Shown, task: Task, selection: ListQuery): readonly Task[] {
  const { completed, ...others } = selection;
  const isTicked = completed === false && task.completed;
  return withPlaced(tasks, task, isTicked ? others : selection, { hasMore: next !== null });
}

/** Returns a list after a change made elsewhere: unchanged, if the list already has this version or a newer one. */
function withChange(shown: Shown, { id, task }: Change, selection: ListQuery): Shown {
  const known = shown.tasks.find((each) => each.id === id);
  if (!task) return { ...shown, tasks: without(id)(shown.tasks) };
  if (known && known.version >= task.version) return shown;
  if (known) return { ...shown, tasks: withTask(shown, task, selection) };
  return { ...shown, tasks: withPlaced(shown.tasks, task, selection, { hasMore: shown.next !== null }) };
}

/** Returns a list that was read again, with the tasks whose form is open as they were, and in their places of `before`. */
function withEdited(read: readonly Task[], before: readonly Task[], edited: ReadonlySet<string>): readonly Task[] {
  const kept = before.filter(({ id }) => edited.has(id));
  const others = kept.reduce((tasks, { id }) => without(id)(tasks), read);
  return kept.reduce((tasks, task) => inserted(task, before.indexOf(task))(tasks), others);
}

/** Returns one list and then another, each task once. */
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
