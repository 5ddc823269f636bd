/** What happened, in a sentence, and what can be done about it. */

import { useEffect } from "react";
import type { Notice } from "./use-tasks";

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
          <span>{notice.text}</span>
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
