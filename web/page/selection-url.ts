/**
 * Which tasks the list shows, in the fragment of the page's URL. So a reload and a bookmark show the same list.
 * A browser sends the fragment to no server.
 */

export const FILTERS = { open: "Open", done: "Done", all: "All", trash: "Trash" } as const;
export type Filter = keyof typeof FILTERS;

export interface Selection {
  readonly filter: Filter;
  readonly query: string; // words of a search
  readonly tag: string | null;
}

export function readSelection(): Selection {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const filter = parameters.get("show") ?? "";
  return {
    filter: Object.hasOwn(FILTERS, filter) ? (filter as Filter) : "open",
    query: parameters.get("q") ?? "",
    tag: parameters.get("tag"),
  };
}

export function writeSelection({ filter, query, tag }: Selection): void {
  const parameters = new URLSearchParams();
  if (filter !== "open") parameters.set("show", filter);
  if (query) parameters.set("q", query);
  if (tag) parameters.set("tag", tag);
  const fragment = String(parameters);
  history.replaceState(history.state, "", location.pathname + location.search + (fragment && `#${fragment}`));
}

/** Removes the selection from the URL, so the next person at this browser does not see the words of this one. */
export const clearSelection = (): void => writeSelection({ filter: "open", query: "", tag: null });
