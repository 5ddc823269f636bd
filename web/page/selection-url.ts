/**
 * Which tasks the list shows, in the fragment of the page's URL. So a reload, a bookmark and the Back button show the same
 * list. A browser sends the fragment to no server. Each entry of the browser's history has the id of its person, so the
 * Back button shows nobody the words of another person.
 */

export const FILTERS = { open: "Open", done: "Done", all: "All", trash: "Trash" } as const;
export type Filter = keyof typeof FILTERS;

export interface Selection {
  readonly filter: Filter;
  readonly query: string; // words of a search
  readonly tag: string | null;
}

const ALL_OPEN: Selection = { filter: "open", query: "", tag: null };

/** Returns the selection in the URL, unless the history's entry is of another person than this. */
export function readSelection(user: string): Selection {
  const owner = ownerOfEntry();
  return owner === null || owner === user ? selectionInUrl() : ALL_OPEN;
}

/** Writes the selection into the URL. Another filter or tag is a new entry of the history. */
export function writeSelection({ filter, query, tag }: Selection, user: string): void {
  const parameters = new URLSearchParams();
  if (filter !== "open") parameters.set("show", filter);
  if (query) parameters.set("q", query);
  if (tag) parameters.set("tag", tag);
  const before = readSelection(user);
  const isNew = before.filter !== filter || before.tag !== tag;
  history[isNew ? "pushState" : "replaceState"]({ user }, "", urlWith(String(parameters)));
}

/** Removes the selection from the URL, if it is of a person who was signed in. A bookmark stays for who signs in next. */
export function clearSelection(): void {
  if (ownerOfEntry() !== null) history.replaceState(null, "", urlWith(""));
}

function selectionInUrl(): Selection {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const filter = parameters.get("show") ?? "";
  return {
    filter: Object.hasOwn(FILTERS, filter) ? (filter as Filter) : "open",
    query: parameters.get("q") ?? "",
    tag: parameters.get("tag") || null,
  };
}

const ownerOfEntry = (): string | null => (history.state as { user?: string } | null)?.user ?? null;

const urlWith = (fragment: string): string => location.pathname + location.search + (fragment && `#${fragment}`);
