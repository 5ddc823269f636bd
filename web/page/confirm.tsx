/** Asks before something is lost. Escape and the first button keep everything. */

import type { ReactNode } from "react";
import { useModal } from "./use-modal";

interface Props {
  readonly title: string;
  readonly children: ReactNode;
  readonly keep: string;
  readonly act: string;
  readonly onKeep: () => void;
  readonly onAct: () => void;
}

export function Confirm({ title, children, keep, act, onKeep, onAct }: Props) {
  const dialog = useModal();

  function closeAndAct() {
    dialog.current?.close(); // `onAct` may move the focus, and nothing outside an open dialog can have the focus
    onAct();
  }

  return (
    <dialog
      ref={dialog}
      aria-labelledby="confirm"
      onKeyDown={(event) => event.stopPropagation()} // Escape is for this dialog, not for the form around it
      onCancel={(event) => {
        event.preventDefault();
        onKeep();
      }}
    >
      <h2 id="confirm">{title}</h2>
      <p className="ask">{children}</p>
      <div className="buttons">
        <button type="button" className="primary" onClick={onKeep}>
          {keep}
        </button>
        <button type="button" className="danger" onClick={closeAndAct}>
          {act}
        </button>
      </div>
    </dialog>
  );
}
