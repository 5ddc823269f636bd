/** Opens a modal dialog. */

import { type RefObject, useLayoutEffect, useRef } from "react";

/**
 * Opens a dialog when it is added to the page, and closes it before it is removed: only then does the browser give the
 * focus back to the element that had it. The clean-up of `useEffect` would run too late, after the dialog is removed.
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
