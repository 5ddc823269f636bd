/** Editing one task in place: Enter saves, Escape leaves it as it was. */

import { type FormEvent, type KeyboardEvent, useState } from "react";
import type { Task, TaskPatch } from "../lib/api";

interface Props {
  readonly task: Task;
  readonly onSave: (changes: TaskPatch) => Promise<boolean>;
  readonly onClose: () => void;
}

const PRIORITIES = { none: "No priority", low: "Low", medium: "Medium", high: "High" } as const;

export function TaskEditor({ task, onSave, onClose }: Props) {
  const [isBusy, setBusy] = useState(false);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const changes = changesOf(new FormData(event.currentTarget), task);
    if (changes === null) return;
    setBusy(true);
    const isKept = Object.keys(changes).length === 0 || (await onSave(changes));
    setBusy(false);
    if (isKept) onClose();
  }

  function key(event: KeyboardEvent) {
    if (event.key === "Escape") onClose();
  }

  return (
    <form className="editor" aria-label={`Edit ${task.title}`} onSubmit={(event) => void submit(event)} onKeyDown={key}>
      <label className="field">
        <span>Title</span>
        {/* biome-ignore lint/a11y/noAutofocus: the person has just asked to write here */}
        <input name="title" defaultValue={task.title} maxLength={255} required autoFocus />
      </label>
      <label className="field">
        <span>Notes</span>
        <textarea name="description" rows={2} maxLength={10_000} defaultValue={task.description ?? ""} />
      </label>
      <div className="row">
        <label className="field">
          <span>Due</span>
          <input name="due" type="date" defaultValue={dayOf(task.due)} />
        </label>
        <label className="field">
          <span>Priority</span>
          <select name="priority" defaultValue={task.priority}>
            {Object.entries(PRIORITIES).map(([name, label]) => (
              <option key={name} value={name}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <label className="field">
          <span>
            Tags <small>split by commas</small>
          </span>
          <input name="tags" defaultValue={task.tags.join(", ")} autoComplete="off" />
        </label>
      </div>
      <div className="buttons">
        <button type="submit" className="primary" disabled={isBusy}>
          Save
        </button>
        <button type="button" className="link" onClick={onClose}>
          Cancel
        </button>
      </div>
    </form>
  );
}

/** What differs from the task; `null`: there is no title, and the browser says so. */
function changesOf(said: FormData, task: Task): TaskPatch | null {
  const text = (name: string) => String(said.get(name) ?? "");
  const title = text("title").trim();
  if (!title) return null;
  const tags = text("tags")
    .split(",")
    .map((tag) => tag.trim())
    .filter(Boolean);
  const due = text("due");
  return {
    ...(title !== task.title && { title }),
    ...(text("description") !== (task.description ?? "") && { description: text("description") || null }),
    ...(due !== dayOf(task.due) && { due: due || null }), // a moment that nobody touched stays a moment
    ...(text("priority") !== task.priority && { priority: text("priority") as Task["priority"] }),
    ...(tags.join("\n") !== task.tags.join("\n") && { tags }),
  };
}

function dayOf(due: string | null): string {
  if (due === null || !due.includes("T")) return due ?? "";
  const at = new Date(due);
  return [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}
