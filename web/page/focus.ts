/** Moves the focus when the element that has it is removed from the page. */

import { type RefObject, useLayoutEffect, useRef } from "react";

const FOCUSABLE = ".title:is(button), .actions button"; // the elements of a row that can have the focus; the first one gets it

/** Focuses the row of a task in the next frame, when the row is on the screen, if nothing else has the focus by then. */
export function focusRowInNextFrame(id: string): void {
  requestAnimationFrame(() => {
    if (document.activeElement === document.body) focusRow(id);
  });
}

/** Focuses the row of a task if it is on the screen. Returns whether it is. */
export const focusRow = (id: string): boolean => focusIn(document.getElementById(`task-${id}`));

/** Returns whether a person writes in an element, so that Ctrl+Z is for their text. */
export const isWriting = (element: EventTarget | null): boolean =>
  element instanceof HTMLElement &&
  element.matches("textarea, input:not([type='checkbox'], [type='radio']), [contenteditable]");

/**
 * Returns a ref for a row. If the row has the focus when it is removed, the next row gets the focus, or else the row
 * before. `onLast` is called if there is no other row.
 */
export function useRow(onLast: () => void): RefObject<HTMLLIElement | null> {
  const row = useRef<HTMLLIElement>(null);
  const last = useRef(onLast);
  last.current = onLast;
  useLayoutEffect(() => {
    const element = row.current; // still in the document when the clean-up below runs
    return () => {
      if (element?.contains(document.activeElement) && !focusNeighbour(element)) last.current();
    };
  }, []);
  return row;
}

function focusNeighbour(row: Element): boolean {
  const rows = [...(row.parentElement?.children ?? [])];
  const at = rows.indexOf(row);
  return [...rows.slice(at + 1), ...rows.slice(0, at).reverse()].some(focusIn);
}

function focusIn(row: Element | null): boolean {
  const target = row?.querySelector<HTMLElement>(FOCUSABLE);
  target?.focus();
  return target !== undefined && target !== null;
}
