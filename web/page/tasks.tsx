/** The list of a person's tasks, with filters, a search and a form for a new task. */

import { Fragment, useCallback, useEffect, useRef, useState } from "react";
import type { Api, ListQuery, Task } from "../lib";
import type { Person } from "./account";
import { LiveRegion, useAnnouncement } from "./announcement";
import { Boundary, BrokenRow } from "./boundary";
import { Confirm } from "./confirm";
import { Skeleton } from "./loading";
import { NewTask } from "./new-task";
import { type Notice, NoticeBar } from "./notice";
import { clearSelection, FILTERS, type Filter, readSelection, writeSelection } from "./selection-url";
import { TaskRow } from "./task-row";
import { UndoRow } from "./undo";
import { unsaved } from "./unsaved";
import { useNow } from "./use-now";
import { useTasks } from "./use-tasks";
import { explain, isWorthRepeating, Words } from "./words";

const ORDERS = {
  "-created": "Newest first",
  position: "My order",
  due: "Due first",
  "-priority": "Priority",
  title: "Title",
  "-updated": "Last changed",
} as const;
const ORDER_KEY = "taskward-order"; // in localStorage
const TITLE_MAX = 255; // code points
const SEARCH_DELAY = 250; // milliseconds after the last letter until a search begins
const RECONNECT_TIME = 3_000; // milliseconds without a stream until the page says so: a server may be replaced meanwhile
type Order = keyof typeof ORDERS;

interface Props {
  readonly api: Api;
  readonly person: Person;
  readonly hasJustSignedIn: boolean; // then the focus was in the form to sign in, which was removed
  readonly onSignOut: () => Promise<void>;
}

export function Tasks({ api, person, hasJustSignedIn, onSignOut }: Props) {
  const [filter, setFilter] = useState(() => readSelection(person.id).filter);
  const [order, setOrder] = useState(rememberedOrder);
  const [words, setWords] = useState(() => readSelection(person.id).query);
  const [tag, setTag] = useState(() => readSelection(person.id).tag);
  const [notice, setNotice] = useState<Notice | null>(null);
  const [isOffline, setOffline] = useState(!navigator.onLine);
  const [isLeaving, setLeaving] = useState(false); // with unsaved text: the page asks first
  const query = useSettled(words.trim(), SEARCH_DELAY);
  const [announcement, say] = useAnnouncement();
  const list = useTasks(api, selectionOf(filter, order, query, tag), { notify: setNotice, say });
  const mayBeLate = useSettled(!list.isLive, RECONNECT_TIME); // changes from other devices
  const now = useNow();
  const filters = useRef<HTMLFieldSetElement>(null);
  const end = useRef<HTMLDivElement>(null);
  const isTrash = filter === "trash";
  const closeNotice = useCallback(() => setNotice(null), []);
  const focusFilter = () => filters.current?.querySelector<HTMLElement>('[aria-pressed="true"]')?.focus();

  /** Focuses the button of the undo row or the active filter, when the last task has left the list. */
  function focusElsewhere() {
    requestAnimationFrame(() => {
      if (document.activeElement !== document.body) return;
      const undo = document.querySelector<HTMLElement>(".undo button");
      if (undo) undo.focus();
      else focusFilter();
    });
  }

  const { undo } = list;
  const undoAfter = list.tasks.find(({ id }) => id === undo?.after)?.id ?? null;
  const undoRow = undo && <UndoRow key={undo.task.id} undo={undo} onLastGone={focusElsewhere} />;

  async function leave() {
    try {
      await onSignOut();
    } catch (error) {
      setNotice({ text: `You are still signed in. ${explain(error)}` });
    }
  }

  const more = useRef(list.more);
  more.current = list.more;

  useEffect(() => {
    const showWhetherOffline = () => setOffline(!navigator.onLine);
    window.addEventListener("online", showWhetherOffline);
    window.addEventListener("offline", showWhetherOffline);
    return () => {
      window.removeEventListener("online", showWhetherOffline);
      window.removeEventListener("offline", showWhetherOffline);
    };
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: each new page moves the end of the list, which is then observed again
  useEffect(() => {
    if (!end.current) return;
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && void more.current(), {
      rootMargin: "400px",
    });
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [list.next]);

  function chooseOrder(order: Order) {
    setOrder(order);
    try {
      localStorage.setItem(ORDER_KEY, order);
    } catch {
      // A browser that stores nothing shows the first order after a reload.
    }
  }

  useEffect(() => {
    writeSelection({ filter, query, tag }, person.id);
  }, [filter, query, tag, person.id]);
  useEffect(() => {
    const show = () => {
      const selection = readSelection(person.id);
      writeSelection(selection, person.id); // also over an entry of another person
      setFilter(selection.filter);
      setWords(selection.query);
      setTag(selection.tag);
    };
    window.addEventListener("popstate", show); // a bookmark, or the Back button
    return () => {
      window.removeEventListener("popstate", show);
      clearSelection();
    };
  }, [person.id]);

  const closeNoticeOf = useCallback(
    (cause: Notice["cause"]) => setNotice((now) => (now?.cause === cause ? null : now)),
    [],
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: another list is shown
  useEffect(() => {
    closeNoticeOf("list");
  }, [filter, order, query, tag, closeNoticeOf]);

  function add(title: string): Promise<boolean> | null {
    closeNoticeOf("new task");
    const length = [...title].length;
    if (length <= TITLE_MAX) return list.add({ title, ...(tag && { tags: [tag] }) });
    setNotice({ cause: "new task", text: `The title has ${length} characters, and at most ${TITLE_MAX} fit.` });
    return null;
  }

  return (
    <main className="page">
      <header className="top">
        <h1 className="brand">Taskward</h1>
        <span className="who">
          <Words text={person.name} />
        </span>
        <button type="button" className="link" onClick={() => (unsaved.size > 0 ? setLeaving(true) : void leave())}>
          Sign out
        </button>
        {isLeaving && (
          <Confirm
            title="Discard your changes?"
            keep="Keep editing"
            act="Discard and sign out"
            onKeep={() => setLeaving(false)}
            onAct={() => {
              setLeaving(false);
              void leave();
            }}
          >
            What you wrote here is not saved yet.
          </Confirm>
        )}
      </header>

      {isOffline && (
        <p className="banner" role="status">
          You are offline. What you see may be old, and changes cannot be saved just now.
        </p>
      )}

      <p className="late-news" role="status">
        {mayBeLate && !isOffline && "Changes from other devices may appear late just now."}
      </p>

      <NewTask isHidden={isTrash} hasFocus={hasJustSignedIn} onType={() => closeNoticeOf("new task")} onAdd={add} />

      <div className="tools">
        <fieldset ref={filters} className="filters" aria-label="Which tasks">
          {Object.entries(FILTERS).map(([name, label]) => (
            <button key={name} type="button" aria-pressed={filter === name} onClick={() => setFilter(name as Filter)}>
              {label}
            </button>
          ))}
        </fieldset>
        <input
          type="search"
          dir="auto"
          aria-label="Search"
          placeholder="Search"
          value={words}
          onChange={(event) => setWords(event.target.value)}
        />
        <select aria-label="Order" value={order} onChange={(event) => chooseOrder(event.target.value as Order)}>
          {Object.entries(ORDERS).map(([name, label]) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
        </select>
      </div>
      {tag && (
        <p className="chosen">
          Tagged{" "}
          <strong>
            <Words text={tag} />
          </strong>{" "}
          <button
            type="button"
            className="link"
            onClick={() => {
              setTag(null);
              focusFilter(); // because this button is removed
            }}
          >
            Show all
          </button>
        </p>
      )}

      {list.phase === "loading" && list.tasks.length === 0 && <Skeleton />}
      {list.phase === "failed" && (
        <p className="banner" role="status">
          <span key={explain(list.error)}>{explain(list.error)}</span>{" "}
          {isWorthRepeating(list.error) && (
            <button type="button" className="link" onClick={() => void list.reload()}>
              Try again
            </button>
          )}
        </p>
      )}
      {list.phase === "ready" && list.tasks.length === 0 && <Empty api={api} filter={filter} query={query} tag={tag} />}

      <ul
        className="tasks"
        aria-busy={list.isOfAnotherSelection}
        aria-label={isTrash ? "Tasks in the trash" : `${FILTERS[filter]} tasks`}
      >
        {undoAfter === null && undoRow}
        {list.tasks.map((task: Task) => (
          <Fragment key={task.id}>
            <Boundary instead={(again) => <BrokenRow id={task.id} onAgain={again} />}>
              <TaskRow
                task={task}
                list={list}
                now={now}
                isManualOrder={order === "position" && query === "" && !isTrash && !list.isOfAnotherSelection}
                onTag={setTag}
                onLastGone={focusElsewhere}
              />
            </Boundary>
            {undoAfter === task.id && undoRow}
          </Fragment>
        ))}
      </ul>
      <div ref={end} aria-hidden="true" />
      <LiveRegion announcement={announcement} />
      <NoticeBar notice={notice} onClose={closeNotice} />
    </main>
  );
}

interface EmptyProps {
  readonly api: Api;
  readonly filter: Filter;
  readonly query: string;
  readonly tag: string | null;
}

function Empty({ api, filter, query, tag }: EmptyProps) {
  const [hasTasks, setHasTasks] = useState<boolean>(); // open or done
  useEffect(() => {
    const leaving = new AbortController();
    api.list({ limit: 1 }, { signal: leaving.signal }).then(
      ({ tasks }) => setHasTasks(tasks.length > 0),
      () => setHasTasks(true),
    );
    return () => leaving.abort();
  }, [api]);

  const which = query ? "search" : tag !== null ? "tag" : filter === "open" && hasTasks === false ? "all" : filter;
  if (which === "open" && hasTasks === undefined) return null;
  const [head, body] = {
    open: ["All done", "Write down what comes to mind, and press Enter."],
    done: ["Nothing done yet", "What you complete is kept here."],
    all: ["No tasks yet", "Write down what comes to mind, and press Enter."],
    trash: ["The trash is empty", "Deleted tasks wait here until you delete them forever."],
    search: ["Nothing found", `No task ${tag === null ? "" : "with this tag "}has all of these words.`],
    tag: ["Nothing found", "No task here has this tag."],
  }[which];
  return (
    <div className="empty">
      <h2>{head}</h2>
      <p>{body}</p>
    </div>
  );
}

function selectionOf(filter: Filter, sort: Order, q: string, tag: string | null): ListQuery {
  return {
    sort,
    limit: 50,
    ...(filter === "open" && { completed: false }),
    ...(filter === "done" && { completed: true }),
    ...(filter === "trash" && { trashed: true }),
    ...(q && { q }),
    ...(tag && { tag: [tag] }),
  };
}

/** Returns the order that was last chosen in this browser. */
function rememberedOrder(): Order {
  try {
    const order = localStorage.getItem(ORDER_KEY) ?? "";
    if (Object.keys(ORDERS).includes(order)) return order as Order;
  } catch {
    // This browser stores nothing.
  }
  return "-created";
}

/** Returns the latest value that did not change for so many milliseconds. */
function useSettled<T>(value: T, milliseconds: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value, milliseconds]);
  return settled;
}
