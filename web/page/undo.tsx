/** The row with an "Undo" button, in place of a task that was moved to the trash. */

import { useEffect } from "react";
import type { Task } from "../lib";
import { isWriting, useRow } from "./focus";
import { Words } from "./words";

export interface Undo {
  readonly task: Task; // before it was moved to the trash
  readonly after: string | null; // the id of the task above it; `null`: it was the first one
  readonly run: () => void;
}

const UNDO_KEYS = navigator.userAgent.includes("Mac") ? "⌘Z" : "Ctrl+Z";
/** Says how to undo: on a touch screen, which may have no keyboard, by the button. */
export const HOW_TO_UNDO = matchMedia("(hover: none)").matches ? "Undo is in its place." : `${UNDO_KEYS} undoes it.`;

interface Props {
  readonly undo: Undo;
  readonly onLastGone: () => void; // this row was removed while it had the focus, and there is no other row
}

export function UndoRow({ undo, onLastGone }: Props) {
  const row = useRow(onLastGone);

  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (
        !isUndo(event) ||
        (isWriting(event.target) && !isEmptyNewTask(event.target)) ||
        document.querySelector("dialog[open]")
      )
        return;
      event.preventDefault();
      undo.run();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, [undo]);

  return (
    <li className="undo" ref={row}>
      <span>
        “<Words text={undo.task.title} />” is in the trash.
      </span>
      <button type="button" className="link" aria-keyshortcuts="Control+Z Meta+Z" onClick={undo.run}>
        Undo
      </button>
      <kbd>{UNDO_KEYS}</kbd>
    </li>
  );
}

/** In the empty field for a new task there is no text to undo, and the focus is often there. */
const isEmptyNewTask = (target: EventTarget | null): boolean =>
  target instanceof HTMLInputElement && target.form?.className === "add" && target.value === "";

function isUndo({ key, code, ctrlKey, metaKey, shiftKey, altKey }: KeyboardEvent): boolean {
  const isZ = key.toLowerCase() === "z" || (code === "KeyZ" && !/^[a-z]$/i.test(key)); // on a Greek keyboard it is "ζ"
  return isZ && ctrlKey !== metaKey && !shiftKey && !altKey;
}
