/** The form for a new task. While the trash is shown it is hidden, and keeps what was typed before. */

import { type FormEvent, useState } from "react";
import { useUnsaved } from "./unsaved";

interface Props {
  readonly isHidden: boolean;
  readonly hasFocus: boolean; // when it is first shown
  readonly onType: () => void;
  readonly onAdd: (title: string) => Promise<boolean> | null; // whether the task was stored; `null`: it was not sent
}

export function NewTask({ isHidden, hasFocus, onType, onAdd }: Props) {
  const [typed, setTyped] = useState("");
  useUnsaved("new task", typed.trim() !== "");

  async function submit(event: FormEvent) {
    event.preventDefault();
    const title = typed.trim();
    if (!title) return;
    const sent = onAdd(title);
    if (!sent) return;
    setTyped("");
    if (!(await sent)) setTyped((now) => now || title);
  }

  return (
    <form className="add" hidden={isHidden} onSubmit={(event) => void submit(event)}>
      <input
        name="title"
        dir="auto"
        aria-label="New task"
        placeholder="What do you want to do?"
        autoComplete="off"
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          onType();
        }}
        // biome-ignore lint/a11y/noAutofocus: the form that had the focus was just removed
        autoFocus={hasFocus}
      />
      <button type="submit" className="primary">
        Add
      </button>
    </form>
  );
}
