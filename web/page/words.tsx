/** Shows text that a person wrote, and explains problems in plain words. */

import { isProblem } from "../lib";

/**
 * Shows a text that a person wrote, in its own direction. For another text the key replaces the whole element, because a
 * browser that translates the page may have replaced the text node inside.
 */
export function Words({ text, className }: { readonly text: string; readonly className?: string }) {
  return (
    <bdi key={text} dir="auto" className={className}>
      {text}
    </bdi>
  );
}

/** The fields of a task that the page has an input for. */
const FIELDS = ["title", "description", "due", "priority", "tags"] as const;
export type Field = (typeof FIELDS)[number];
export type FieldErrors = Partial<Record<Field, string>>;

const LABELS: Record<Field, string> = {
  title: "The title",
  description: "The text of the notes",
  due: "The due date",
  priority: "The priority",
  tags: "Each tag",
};

/** Returns the errors of a 400 for each field of the form, in sentences. */
export function fieldErrors(error: unknown): FieldErrors {
  const found: FieldErrors = {};
  if (!isProblem(error)) return found;
  for (const { pointer, detail } of error.errors) {
    const field = FIELDS.find((name) => pointer === `/${name}` || pointer.startsWith(`/${name}/`));
    if (!field) continue;
    const label = pointer === "/tags" ? "The list of tags" : LABELS[field];
    found[field] ??= `${label} ${detail}.`;
  }
  return found;
}

/** Returns what happened and what the person can do, in one or two sentences. */
export function explain(error: unknown): string {
  if (!isProblem(error)) return "Something went wrong on this page. Reload it, and try again.";
  const wait = error.retryAfter ? `in ${seconds(error.retryAfter)}` : "in a moment";
  if (error.type === "outcome-unknown")
    return "The connection broke at the last moment. Look whether it was saved before you try again.";
  switch (error.status) {
    case 0:
      return "The server cannot be reached. Check your connection, and try again.";
    case 400: {
      const search = error.errors.find(({ pointer }) => pointer === "/q");
      return Object.values(fieldErrors(error))[0] ?? (search ? `The search ${search.detail}.` : error.detail);
    }
    case 404:
      return "This task was deleted, in another window or on another device.";
    case 412:
      return "This task was changed in another window or on another device.";
    case 429:
      return `That was too much at once. Try again ${wait}.`;
    case 503:
      return `The server is busy, and nothing was changed. Try again ${wait}.`;
    default:
      return error.status >= 500 ? "The server made a mistake. Try again in a moment." : error.detail;
  }
}

/** Returns whether sending the request again can help: not if the server refused the request itself. */
export const isWorthRepeating = (error: unknown): boolean =>
  !isProblem(error) || ![400, 403, 404, 412, 413].includes(error.status);

export const seconds = (count: number): string => (count === 1 ? "a second" : `${count} seconds`);
