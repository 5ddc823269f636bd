/** A bar that reports in a sentence what happened, and may offer a button such as "Try again". */

import { useEffect, useRef, useState } from "react";
import { Words } from "./words";

export interface Notice {
  readonly title?: string; // of the task that it is about
  readonly text: string; // begins in lower case behind a title
  readonly cause?: "list" | "new task"; // it is closed before another list is shown, or before a task is added
  readonly action?: { readonly label: string; readonly run: () => void };
}

const SHOWN_FOR = 10_000; // milliseconds
const TITLE_MAX = 60; // code points

export function NoticeBar({ notice, onClose }: { readonly notice: Notice | null; readonly onClose: () => void }) {
  const [hasPointer, setPointer] = useState(false);
  const [hasFocus, setFocus] = useState(false);
  const bar = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (!notice || hasPointer || hasFocus) return;
    const timer = setTimeout(onClose, SHOWN_FOR);
    return () => clearTimeout(timer);
  }, [notice, hasPointer, hasFocus, onClose]);

  useEffect(() => {
    if (notice && bar.current) uncoverFocus(bar.current);
    if (notice) return;
    setPointer(false); // a removed element sends no `pointerleave` and no `blur`
    setFocus(false);
  }, [notice]);

  return (
    <div
      ref={bar}
      className="notice"
      role="status"
      aria-live="polite"
      data-shown={notice !== null}
      onPointerEnter={() => setPointer(true)}
      onPointerLeave={() => setPointer(false)}
      onFocus={() => setFocus(true)}
      onBlur={() => setFocus(false)}
    >
      {notice && (
        <>
          <span className="text" key={`${notice.title} ${notice.text}`}>
            {notice.title !== undefined && (
              <>
                “<Words text={shortened(notice.title)} />”{" "}
              </>
            )}
            {notice.text}
          </span>
          {notice.action && (
            <button
              type="button"
              onClick={() => {
                onClose();
                notice.action?.run();
              }}
            >
              {notice.action.label}
            </button>
          )}
          <button type="button" aria-label="Close" onClick={onClose}>
            ✕
          </button>
        </>
      )}
    </div>
  );
}

/** Returns a title of at most TITLE_MAX code points, so the sentence after it is in sight. */
function shortened(title: string): string {
  const points = [...title];
  return points.length <= TITLE_MAX ? title : `${points.slice(0, TITLE_MAX - 1).join("")}…`;
}

/** Scrolls the page if the bar covers what has the focus, or the buttons of its form. */
function uncoverFocus(bar: Element): void {
  const focused = document.activeElement;
  const inUse = focused?.closest("form")?.querySelector(".buttons") ?? focused;
  if (inUse && inUse !== document.body && inUse.getBoundingClientRect().bottom > bar.getBoundingClientRect().top)
    inUse.scrollIntoView({ block: "nearest" });
}
