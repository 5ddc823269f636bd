"""Selects, sorts and counts tasks in plain Python. Tests compare the results of the SQL with those of this module."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC
from typing import Any

from app.domain.summary import SUMMARY_TAGS_MAX, Day, Summary, TagCount
from app.domain.tags import tag_key
from app.domain.task import Task, TaskId
from app.domain.task_list import Bookmark, Key, Order, Selection
from app.domain.text import searchable, sort_key

Revisions = Mapping[TaskId, int]
"""The owner's revision of each task's last write."""


def in_order(tasks: Iterable[Task], selection: Selection, revisions: Revisions) -> list[Task]:
    ordered = sorted(
        tasks, key=lambda task: _place(bookmark_of(task, selection, revisions)), reverse=selection.descending
    )
    # Tasks without a due date come last in both directions.
    return sorted(ordered, key=lambda task: selection.order is Order.DUE and task.due is None)


def comes_after(task: Task, after: Bookmark, selection: Selection, revisions: Revisions) -> bool:
    mine, other = bookmark_of(task, selection, revisions), after
    if selection.order is Order.DUE and (mine.key is None) != (other.key is None):
        return mine.key is None
    return _place(mine) < _place(other) if selection.descending else _place(mine) > _place(other)


def bookmark_of(task: Task, selection: Selection, revisions: Revisions) -> Bookmark:
    keys: dict[Order, Key] = {
        Order.CREATED: None,
        Order.UPDATED: revisions[task.id],
        Order.DUE: None if task.due is None else task.due.at,
        Order.PRIORITY: int(task.priority),
        Order.TITLE: sort_key(task.title),
        Order.POSITION: task.position,
    }
    return Bookmark(task.id, keys[selection.order])


def is_selected(task: Task, selection: Selection) -> bool:
    due = task.due and task.due.at
    tags = {tag_key(tag) for tag in task.tags}
    checks: dict[str, Callable[[Any], bool]] = {
        "completed": lambda completed: task.completed == completed,
        "priority": lambda priority: task.priority == priority,
        "tags": tags.issuperset,
        "due_before": lambda moment: due is not None and due < moment,
        "due_after": lambda moment: due is not None and due > moment,
        "without_due": lambda _: due is None,
        "updated_since": lambda moment: task.updated_at >= moment,
        "search": lambda search: _is_found(task, search.needles, search.verbatim),
    }
    conditions = selection.as_conditions()
    return all(check(conditions[name]) for name, check in checks.items() if name in conditions)


def summary_of(tasks: list[Task], day: Day) -> Summary:
    unfinished = [task for task in tasks if not task.completed]
    spellings: dict[str, list[str]] = {}
    for task in tasks:
        for tag in task.tags:
            spellings.setdefault(tag_key(tag), []).append(tag)
    counts = {key: _count_of(key, min(spellings[key]), tasks) for key in sorted(spellings)}
    listed = set(sorted(counts, key=lambda key: _most_first(counts[key]))[:SUMMARY_TAGS_MAX])
    return Summary(
        open=len(unfinished),
        done=len(tasks) - len(unfinished),
        overdue=sum(_is_overdue(task, day) for task in unfinished),
        due_today=sum(_is_due_today(task, day) for task in unfinished),
        tags=tuple(count for key, count in counts.items() if key in listed),
        tags_left_out=len(counts) - len(listed),
    )


def _place(bookmark: Bookmark) -> tuple[Any, ...]:
    """Return the sort key of a bookmark. Bookmarks without a key are before all others, in the order of their ids."""
    return (False, bookmark.id) if bookmark.key is None else (True, bookmark.key, bookmark.id)


def _is_found(task: Task, needles: tuple[str, ...], verbatim: str) -> bool:
    title, description = searchable(task.title), searchable(task.description)
    if verbatim:
        return verbatim in task.title or verbatim in (task.description or "")
    return all(needle in title or needle in description for needle in needles)


def _is_overdue(task: Task, day: Day) -> bool:
    if task.due is None:
        return False
    return task.due.at.date() < day.date if task.due.whole_day else task.due.at < day.now


def _is_due_today(task: Task, day: Day) -> bool:
    if task.due is None:
        return False
    at = task.due.at.astimezone(UTC)
    return at.date() == day.date if task.due.whole_day else day.start <= at < day.end


def _most_first(count: TagCount) -> tuple[int, int]:
    return -count.open, -(count.open + count.done)


def _count_of(key: str, name: str, tasks: list[Task]) -> TagCount:
    having = [task for task in tasks if key in map(tag_key, task.tags)]
    done = sum(task.completed for task in having)
    return TagCount(name, len(having) - done, done)
