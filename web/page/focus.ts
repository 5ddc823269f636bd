/** Where the focus goes when what had it leaves the screen. */

import { type RefObject, useLayoutEffect, useRef } from "react";

const IN_A_ROW = ".title:is(button), .actions button"; // what a row offers first

/** Focuses the row of a task, once it is on the screen, unless the person writes elsewhere by then. */
export function focusTask(id: string): void {
  requestAnimationFrame(() => {
    if (document.activeElement === document.body) focusRow(id);
  });
}

/** Focuses the row of a task that is on the screen. */
export const focusRow = (id: string): boolean => focusIn(document.getElementById(`task-${id}`));

/** Returns whether a person writes in an element, so that Ctrl+Z is for their text. */
export const isWriting = (element: EventTarget | null): boolean =>
  element instanceof HTMLElement &&
  element.matches("textarea, input:not([type='checkbox'], [type='radio']), [contenteditable]");

/**
 * Returns the ref of a row. Whatever takes the row off the list, if it had the focus, the next row gets it, or else the
 * one before. `onLast` runs if there is none.
 */
export function useRow(onLast: () => void): RefObject<HTMLLIElement | null> {
  const row = useRef<HTMLLIElement>(null);
  const last = useRef(onLast);
  last.current = onLast;
  useLayoutEffect(() => {
    const element = row.current; // which is still in the document when this effect ends
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
  const target = row?.querySelector<HTMLElement>(IN_A_ROW);
  target?.focus();
  return target !== undefined && target !== null;
}
