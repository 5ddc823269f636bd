"""Reads lists and counts of one owner's tasks."""

from datetime import UTC, datetime, time
from uuid import UUID

from app.domain.errors import SearchTooSlow, SummaryTooSlow
from app.domain.summary import Day, Summary, TagCount
from app.domain.task_list import NEWEST, Bookmark, Order, Page, Selection
from app.infra.postgres.owner_session import OwnerSession
from app.infra.statements.lists import CONDITIONS, NEWEST_FIRST, Shape, page_of
from app.infra.statements.summary import SUMMARY


async def page(session: OwnerSession, limit: int, after: Bookmark | None, selection: Selection) -> Page:
    """Read a page. If it is too large, read it again with a quarter of its tasks."""
    values, shape = _shape_of(selection, after)
    # One more shows whether there is a next page.
    (row,) = await session.rows(page_of(shape), **values, limit=limit + 1)
    found = row["shown"]
    if found is None:  # no task
        return Page(b"[]", None, row["revision"])
    if not found:  # TOO_LARGE
        return await page(session, limit // 4, after, selection)
    try:
        json = b",".join(found[:limit])
    except TypeError:  # NULL: a task is too long for a page of so many (rare)
        return await page(session, limit // 4, after, selection)
    following = Bookmark(row["last_id"], row.get("last_key")) if len(found) > limit else None
    return Page(b"[" + json + b"]", following, row["revision"])


async def summary(session: OwnerSession, day: Day) -> Summary:
    """Count the owner's tasks; raise SummaryTooSlow if that exceeded its time budget."""
    try:
        (row,) = await session.rows(
            SUMMARY,
            now=day.now,
            today=datetime.combine(day.date, time(), UTC),  # as `due` stores a day
            day_start=day.start,
            day_end=day.end,
        )
    except SearchTooSlow as error:
        raise SummaryTooSlow(error.reason) from error
    counts = zip(row["tags"] or (), row["tags_open"] or (), row["tags_done"] or (), strict=True)
    return Summary(
        **{name: row[name] for name in ("open", "done", "overdue", "due_today", "tags_left_out")},
        tags=tuple(TagCount(*each) for each in counts),
    )


def next_id(task_id: UUID, *, descending: bool) -> UUID:
    """Return the next id; at the end of the range, the same id, which no task has."""
    return UUID(int=max(0, task_id.int - 1) if descending else min(2**128 - 1, task_id.int + 1))


def _shape_of(selection: Selection, after: Bookmark | None) -> tuple[dict[str, object], Shape]:
    """Return the values of a page's statement, and its shape."""
    if selection is NEWEST and after is None:  # nearly always
        return {}, NEWEST_FIRST
    filters = selection.as_conditions()
    values: dict[str, object] = {name: filters[name] for name in CONDITIONS if name in filters}
    conditions = tuple(values)
    words, verbatim = 0, False
    if search := selection.search:
        words, verbatim = len(search.needles), bool(search.verbatim)
        values |= {f"word{number}": needle for number, needle in enumerate(search.needles)}
        values["verbatim"] = search.verbatim
    if after is not None:
        values |= {"first": next_id(after.id, descending=selection.descending), "key": after.key}
    shape = Shape(
        order=selection.order.value,
        descending=selection.descending,
        trashed=selection.trashed,
        conditions=conditions,
        words=words,
        verbatim=verbatim,
        after=after is not None,
        undated=selection.order is Order.DUE and after is not None and after.key is None,
    )
    return values, shape
