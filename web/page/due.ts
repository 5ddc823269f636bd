/** Returns in words when a task is due. A date is the same in every time zone. A date with a time is shown in local time. */

const DAY = 86_400_000; // milliseconds

const LOCAL = new Intl.DateTimeFormat().resolvedOptions().locale;
/** The page is English, so its dates are too: a screen reader would read "1. März" as English. */
const LOCALE = /^en\b/i.test(LOCAL) ? LOCAL : "en-GB";

export interface DueInWords {
  readonly text: string;
  readonly isLate: boolean;
}

export function dueInWords(due: string, now: Date): DueInWords {
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(due);
  const at = new Date(isDay ? `${due}T00:00:00` : due);
  const days = Math.round((midnight(at) - midnight(now)) / DAY);
  const name = days === 0 ? "today" : days === 1 ? "tomorrow" : days === -1 ? "yesterday" : dayAndMonth(at, now);
  const time = isDay ? "" : `, ${at.toLocaleTimeString(LOCALE, { hour: "2-digit", minute: "2-digit" })}`;
  const isLate = isDay ? days < 0 : at < now;
  return { text: `${isLate ? "Overdue: " : "Due "}${name}${time}`, isLate };
}

const midnight = (at: Date): number => new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime();

/** Returns the day and the month, and the year if it is not the present one. */
function dayAndMonth(at: Date, now: Date): string {
  const year = at.getFullYear() === now.getFullYear() ? {} : ({ year: "numeric" } as const);
  return at.toLocaleDateString(LOCALE, { day: "numeric", month: "short", ...year });
}
