/** What happened, in a sentence, and what the person can do. */

import { useEffect } from "react";
import type { Task } from "../lib";
import { Words } from "./words";

export interface Notice {
  readonly title?: string; // of the task that it is about
  readonly text: string; // begins in lower case behind a title
  readonly action?: { readonly label: string; readonly run: () => void };
  readonly undoes?: Task; // the task before it was moved to the trash, where the action brings it back
}

const STAYS = 10_000; // milliseconds

export function NoticeBar({ notice, onClose }: { readonly notice: Notice | null; readonly onClose: () => void }) {
  useEffect(() => {
    if (!notice) return;
    const timer = setTimeout(onClose, STAYS);
    return () => clearTimeout(timer);
  }, [notice, onClose]);

  return (
    <div className="notice" role="status" aria-live="polite" data-shown={notice !== null}>
      {notice && (
        <>
          <span className="text" key={`${notice.title} ${notice.text}`}>
            {notice.title !== undefined && (
              <>
                “<Words text={notice.title} />”{" "}
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
