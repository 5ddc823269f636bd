/** Announcements for screen readers: what changed in the list, and how many tasks a search found. */

import { useCallback, useState } from "react";

interface Announcement {
  readonly text: string;
  readonly count: number; // so that a screen reader also reads the same text for a second time
}

export function useAnnouncement(): [announcement: Announcement, say: (text: string) => void] {
  const [announcement, setAnnouncement] = useState<Announcement>({ text: "", count: 0 });
  const say = useCallback((text: string) => setAnnouncement(({ count }) => ({ text, count: count + 1 })), []);
  return [announcement, say];
}

export function LiveRegion({ announcement }: { readonly announcement: Announcement }) {
  return (
    <p className="visually-hidden announcement" role="status">
      <span key={announcement.count}>{announcement.text}</span>
    </p>
  );
}
