/** Where the focus goes when what had it leaves the screen. */

const IN_A_ROW = ".title:is(button), .actions button"; // what a row offers first

/** Focuses the row of a task, once it is on the screen, unless the person writes elsewhere by then. */
export function focusTask(id: string): void {
  requestAnimationFrame(() => {
    if (document.activeElement === document.body) focusIn(document.getElementById(`task-${id}`));
  });
}

/** Focuses the next row, or else the one before; false where there is no other. */
export function focusNeighbour(of: Element): boolean {
  const row = of.closest("li");
  return focusIn(row?.nextElementSibling ?? row?.previousElementSibling ?? null);
}

function focusIn(row: Element | null): boolean {
  const target = row?.querySelector<HTMLElement>(IN_A_ROW);
  target?.focus();
  return target !== undefined && target !== null;
}
