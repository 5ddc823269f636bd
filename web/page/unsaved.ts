/** Knows which forms have text that is not saved. The browser asks before such a page is closed or loaded again. */

import { useLayoutEffect } from "react";

const names = new Set<string>();

/** The names of forms with unsaved text. For the form of a task it is the id of the task. */
export const unsaved: ReadonlySet<string> = names;

/**
 * Records whether a form has unsaved text, until the form is removed. A layout effect ends with the form itself: an
 * effect may end later, and the browser would ask although nothing is unsaved.
 */
export function useUnsaved(name: string, isUnsaved: boolean): void {
  useLayoutEffect(() => {
    if (!isUnsaved) return;
    names.add(name);
    askBeforeLeaving();
    return () => {
      names.delete(name);
      askBeforeLeaving();
    };
  }, [name, isUnsaved]);
}

function askBeforeLeaving(): void {
  window.onbeforeunload = names.size > 0 ? () => "unsaved" : null; // browsers ask in their own words
}
