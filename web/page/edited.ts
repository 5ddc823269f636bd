/** Finds what a person changed in the form of a task. Other fields are never sent, even if a browser normalised their values. */

import type { Task } from "../lib";
import { withTags } from "./tag-field";
import type { Field } from "./words";

/** What the inputs show. */
export interface Draft {
  readonly title: string;
  readonly description: string;
  readonly day: string; // as `<input type="date">` has it, or ""
  readonly time: string; // as `<input type="time">` has it, or "": due all day
  readonly priority: Task["priority"];
  readonly tags: readonly string[];
  readonly pendingTag: string;
}

export function draftOf(task: Task): Draft {
  const [day, time] = dayAndTime(task.due);
  const { title, description, priority, tags } = task;
  return { title, description: description ?? "", day, time, priority, tags, pendingTag: "" };
}

/** The fields that a form changes, with their new values. */
export type Changes = Partial<Pick<Task, Field>>;

/** Returns the fields that differ between the form as it was opened and the form now. */
export function changesBetween(opened: Draft, draft: Draft): Changes {
  const tags = withTags(draft.tags, [draft.pendingTag]);
  return {
    ...(draft.title !== opened.title && { title: draft.title }),
    ...(draft.description !== opened.description && { description: draft.description || null }),
    ...((draft.day !== opened.day || draft.time !== opened.time) && { due: dueOf(draft.day, draft.time) }),
    ...(draft.priority !== opened.priority && { priority: draft.priority }),
    ...(JSON.stringify(tags) !== JSON.stringify(opened.tags) && { tags: [...tags] }),
  };
}

/** Returns the fields that the form and somebody else (`now`) have changed to different values since `opened`. */
export function conflictsOf(changes: Changes, opened: Task, now: Task): Field[] {
  const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  return (Object.keys(changes) as Field[]).filter(
    (field) => !isSame(opened[field], now[field]) && !isSame(changes[field], now[field]),
  );
}

/** Returns the version that a form edits after somebody else's change: `now`, with the fields of a conflict as in `opened`. */
export function originOf(conflicts: readonly Field[], opened: Task, now: Task): Task {
  return { ...now, ...Object.fromEntries(conflicts.map((field) => [field, opened[field]])) };
}

/** Returns the form after somebody else's change: a field that is not in `changes` shows the value of `now`. */
export function refilled(draft: Draft, changes: Changes, now: Task): Draft {
  const { title, description, day, time, priority, tags, pendingTag } = draft;
  return {
    ...draftOf(now),
    ...("title" in changes && { title }),
    ...("description" in changes && { description }),
    ...("due" in changes && { day, time }),
    ...("priority" in changes && { priority }),
    ...("tags" in changes && { tags, pendingTag }),
  };
}

function dueOf(day: string, time: string): string | null {
  if (!day) return null;
  return time ? new Date(`${day}T${time}`).toISOString() : day;
}

function dayAndTime(due: string | null): [day: string, time: string] {
  if (due === null || !due.includes("T")) return [due ?? "", ""];
  const at = new Date(due);
  const digits = (part: number, count = 2) => String(part).padStart(count, "0");
  const day = `${digits(at.getFullYear(), 4)}-${digits(at.getMonth() + 1)}-${digits(at.getDate())}`;
  const seconds = at.getSeconds() ? `:${digits(at.getSeconds())}` : "";
  return [day, `${digits(at.getHours())}:${digits(at.getMinutes())}${seconds}`];
}
