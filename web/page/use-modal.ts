/** A dialog over the page. */

import { type RefObject, useLayoutEffect, useRef } from "react";

/**
 * Opens a dialog when it comes to the page, and closes it before it leaves: only then does the browser give the focus
 * back to what had it. An effect that is not of the layout runs too late, when the dialog is no longer in the document.
 */
export function useModal(): RefObject<HTMLDialogElement | null> {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    if (!element?.open) element?.showModal();
    return () => element?.close();
  }, []);
  return dialog;
}
