"""A simple model of what the API does with one person's tasks. The tasks are dictionaries like the API's JSON."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from app.domain.text import sort_key
from app.infra.statements.tasks import VERSIONS_SKIPPED

Json = dict[str, Any]

PRIORITIES = ("none", "low", "medium", "high")
DEFAULTS: Json = {
    "description": None,
    "completed": False,
    "due": None,
    "priority": "none",
    "tags": [],
}
REFUSALS: Final = {"task-not-found": 404, "task-changed": 412, "not-in-trash": 409, "too-many-tasks": 409}
"""The status of each refusal, in the order in which the service checks them."""


def due_moment(due: str) -> str:
    """Return the moment at which a task is due: a day without a time is due at its first moment, in UTC."""
    return f"{due}T00:00:00.000000Z" if _is_whole_day(due) else due


ORDERS: Mapping[str, Callable[[Json], Any]] = {
    "created": lambda task: task["id"],
    "updated": lambda _: None,  # not used: `Model.listed` sorts by the number of the last change
    "due": lambda task: task["due"] and due_moment(task["due"]),
    "priority": lambda task: PRIORITIES.index(task["priority"]),
    "title": lambda task: sort_key(task["title"]),
    "position": lambda task: task["position"],
}
FILTERS: Mapping[str, Callable[[Json, Any], bool]] = {
    "trashed": lambda task, value: bool(task["trashed_at"]) == (value == "true"),
    "completed": lambda task, value: task["completed"] == (value == "true"),
    "priority": lambda task, value: bool(task["priority"] == value),
    "tag": lambda task, values: {tag.lower() for tag in values} <= {tag.lower() for tag in task["tags"]},
    "due": lambda task, _: task["due"] is None,
    "due_before": lambda task, value: bool(task["due"] and due_moment(task["due"]) < due_moment(value)),
    "due_after": lambda task, value: bool(task["due"] and due_moment(task["due"]) > due_moment(value)),
    "updated_since": lambda task, value: bool(task["updated_at"] >= value),
    "q": lambda task, value: _is_found(task, value),  # noqa: PLW0108 - defined below
}


@dataclass
class Refusal(Exception):
    """The refusal of an operation."""

    kind: str  # the last part of the problem's type
    operation: int | None = None  # the index of the operation in its batch

    @property
    def rank(self) -> tuple[int, int]:
        """The service reports the refusal with the lowest rank."""
        return list(REFUSALS).index(self.kind), self.operation or 0


@dataclass
class Model:
    """One person's tasks, with those in the trash, and the number of changes."""

    tasks_max: int
    tasks: dict[str, Json] = field(default_factory=dict)
    changes: int = 0
    stamps: dict[str, int] = field(default_factory=dict)  # the number of each task's last change
    resyncs: Counter[str] = field(default_factory=Counter)  # calls of `resync` since each task's last change

    def find(self, task_id: str, if_match: str | None = None, *, trashed: bool | None = False) -> Json:
        """Return a task that may be written, or raise the first refusal in the order of `REFUSALS`.

        `trashed` is True if the task must be in the trash, False if it must not, None if both are allowed.
        """
        task = self.tasks.get(task_id)
        if task is None or (trashed is False and task["trashed_at"]):
            raise Refusal("task-not-found")
        if if_match not in (None, "*") and f'"{task["version"]}"' not in if_match.split(", "):
            raise Refusal("task-changed")
        if trashed and not task["trashed_at"]:
            raise Refusal("not-in-trash")
        return task

    def room_for(self, count: int) -> int:
        """Return the number of tasks after adding `count`, or raise the refusal."""
        if len(self.tasks) + count > self.tasks_max:
            raise Refusal("too-many-tasks")
        return len(self.tasks) + count

    def create(self, fields: Json, response: Json, now: str) -> Json:
        """Store a new task. The values that the server chooses are taken from its response."""
        own = {name: response[name] for name in ("id", "user_id", "position")}
        fixed = {"version": 1, "created_at": now, "updated_at": now, "trashed_at": None}
        task = {**DEFAULTS, **fields, **own, **fixed}
        task["completed_at"] = now if task["completed"] else None
        assert task["id"] not in self.tasks
        self._store(task)
        return task

    def change(self, task: Json, fields: Json, now: str) -> Json:
        """Apply the changes. If nothing differs, keep the task as it is."""
        after = {**task, **fields}
        if after == task:
            return task
        if after["completed"] != task["completed"]:
            after["completed_at"] = now if after["completed"] else None
        skipped = self.resyncs.pop(task["id"], 0) * VERSIONS_SKIPPED
        after |= {"version": task["version"] + 1 + skipped, "updated_at": now}
        self._store(after)
        return after

    def _store(self, task: Json) -> None:
        self.tasks[task["id"]] = task
        self.changes += 1
        self.stamps[task["id"]] = self.changes

    def resync(self) -> None:
        """Make every entity tag of a list invalid, as `app resync` does."""
        self.changes += 1
        self.resyncs.update(list(self.tasks))

    def count_once_since(self, changes: int) -> None:
        """Count all changes after this number as one."""
        self.changes = min(self.changes, changes + 1)
        self.stamps = {task_id: min(stamp, changes + 1) for task_id, stamp in self.stamps.items()}

    def spread(self, positions: Mapping[str, str], now: str) -> None:
        """Give the tasks their new positions, in one change. Tasks in the trash have kept their positions."""
        changes = self.changes
        for task in list(self.tasks.values()):
            self.change(task, {"position": positions[task["id"]]}, now)
        self.changes = max(self.changes, changes + 1)
        self.count_once_since(changes)

    def purge(self, *ids: str) -> None:
        """Delete tasks permanently, in one change."""
        for task_id in ids:
            del self.tasks[task_id], self.stamps[task_id]
            self.resyncs.pop(task_id, None)
        if ids:
            self.changes += 1

    def manual_order(self, **filters: Any) -> list[str]:
        """Return the ids of the list in the manual order."""
        return [task["id"] for task in self.listed("position", **filters)]

    def listed(self, sort: str = "-created", **filters: Any) -> list[Json]:
        """Return the selected tasks in order. Tasks with equal values are sorted by id.

        If the order is the due date, tasks without a due date are last in both directions.
        """
        order, key = sort.removeprefix("-"), ORDERS[sort.removeprefix("-")]
        wanted = {"trashed": "false", **filters}
        tasks = (
            task for task in self.tasks.values() if all(FILTERS[name](task, wanted[name]) for name in wanted)
        )
        if order == "updated":
            rows = sorted(tasks, key=lambda task: (self.stamps[task["id"]], task["id"]))
        else:
            rows = sorted(tasks, key=lambda task: ("" if (value := key(task)) is None else value, task["id"]))
        if sort.startswith("-"):
            rows.reverse()
        return sorted(rows, key=lambda task: task["due"] is None) if order == "due" else rows

    def summary(self, now: datetime, zone: str) -> Json:
        """Count the tasks. The time zone decides which day is today."""
        tasks = self.listed()
        spellings: dict[str, str] = {}
        for tag in sorted((tag for task in tasks for tag in task["tags"]), reverse=True):
            spellings[tag.lower()] = tag
        unfinished = [task for task in tasks if not task["completed"]]
        local_now = now.astimezone(ZoneInfo(zone))
        return {
            "open": len(unfinished),
            "done": len(tasks) - len(unfinished),
            "overdue": sum(_is_overdue(task["due"], local_now) for task in unfinished),
            "due_today": sum(_due_day(task["due"], local_now) == local_now.date() for task in unfinished),
            "tags": [_count(key, spellings[key], tasks) for key in sorted(spellings)],
            "tags_left_out": 0,
        }


def _is_found(task: Json, typed: str) -> bool:
    *whole, last = re.findall(r"\w+", typed.lower())
    there = [re.findall(r"\w+", (task[name] or "").lower()) for name in ("title", "description")]
    words = [word for words in there for word in words]
    return set(whole) <= set(words) and any(word.startswith(last) for word in words)


def _due_day(due: str | None, local_now: datetime) -> date | None:
    if due is None:
        return None
    moment = datetime.fromisoformat(due)
    return moment.date() if _is_whole_day(due) else moment.astimezone(local_now.tzinfo).date()


def _is_overdue(due: str | None, local_now: datetime) -> bool:
    if due is None:
        return False
    moment = datetime.fromisoformat(due)
    return moment.date() < local_now.date() if _is_whole_day(due) else moment < local_now


def _is_whole_day(due: str) -> bool:
    return len(due) == len("2026-01-01")


def _count(key: str, tag: str, tasks: Iterable[Json]) -> Json:
    having = [task for task in tasks if key in map(str.lower, task["tags"])]
    done = sum(task["completed"] for task in having)
    return {"tag": tag, "open": len(having) - done, "done": done}
