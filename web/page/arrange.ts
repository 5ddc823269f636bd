/**
 * Decides which tasks a list shows, and in which order, so that the page can show a change before the server answers.
 * Words and titles are compared nearly as the server compares them. A list that is loaded again has the server's order.
 */

import type { ListQuery, Task } from "../lib";

/** Returns whether a list shows a task. A word of a search may be anywhere in title and notes. */
export function belongs(task: Task, selection: ListQuery): boolean {
  const { completed, trashed, tag = [], q } = selection;
  if ((task.trashed_at !== null) !== (trashed ?? false)) return false;
  if (completed !== undefined && completed !== task.completed) return false;
  const tags = task.tags.map(tagKey);
  if (![tag].flat().every((each) => tags.includes(tagKey(each)))) return false;
  const text = folded(`${task.title} ${task.description ?? ""}`);
  return folded(q ?? "")
    .split(/[^\p{L}\p{M}\p{N}]+/u)
    .every((word) => text.includes(word));
}

/** Compares two tasks in the order of a list; equal ones are ordered by id, as on the server. */
export function compare(a: Task, b: Task, sort: ListQuery["sort"] = "-created"): number {
  const descending = sort.startsWith("-");
  const by = sort.replace("-", "");
  if (by === "due" && (a.due === null) !== (b.due === null)) return a.due === null ? 1 : -1; // no due date: last, also in descending order
  const order = orderOf(key(a, by), key(b, by)) || orderOf(a.id, b.id);
  return descending ? -order : order;
}

const orderOf = (a: string | number, b: string | number): number => (a < b ? -1 : Number(a > b));

/**
 * Returns a list with a task in its place, or without the task if the list does not show it. `hasMore`: the server has
 * more pages of the list. Then the task is also left out if it comes after all others, because it may be on a later page.
 */
export function withPlaced(
  tasks: readonly Task[],
  task: Task,
  selection: ListQuery,
  { hasMore }: { readonly hasMore: boolean },
): readonly Task[] {
  const others = tasks.filter(({ id }) => id !== task.id);
  if (!belongs(task, selection)) return others;
  const found = others.findIndex((each) => compare(task, each, selection.sort) < 0);
  if (found === -1) return hasMore ? others : [...others, task];
  return [...others.slice(0, found), task, ...others.slice(found)];
}

function key(task: Task, by: string): string | number {
  switch (by) {
    case "updated":
      return task.updated_at;
    case "due":
      return task.due === null ? "" : new Date(task.due).toISOString(); // a day counts as its start in UTC
    case "priority":
      return PRIORITIES.indexOf(task.priority);
    case "title":
      return folded(task.title).normalize("NFKD");
    case "position":
      return task.position;
    default:
      return task.id; // a UUID of version 7: these sort by the time of creation
  }
}

const PRIORITIES = ["none", "low", "medium", "high"];

/** Returns what all spellings of a tag have in common: no case, no invisible selectors, no dot of a Turkish İ. */
export const tagKey = (tag: string): string =>
  tag
    .replace(/[\u034f\ufe00-\ufe0f]/gu, "")
    .normalize("NFD")
    .toLowerCase()
    .replaceAll("i\u0307", "i")
    .normalize("NFC")
    .trim();

const folded = (text: string): string => tagKey(text.normalize("NFKC"));
