"""What one person's tasks are after each thing that is done to them: a simple model, in JSON as people see it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.text import sort_key

Json = dict[str, Any]

PRIORITIES = ("none", "low", "medium", "high")
EMPTY: Json = {"description": None, "completed": False, "due": None, "priority": "none", "tags": []}
ORDERS: Mapping[str, Callable[[Json], Any]] = {
    "created": lambda task: task["id"],
    "updated": lambda task: task["updated_at"],
    "due": lambda task: task["due"] and (task["due"] + "T00:00:00.000000Z")[:27].replace("ZT00:00:00.", "Z"),
    "priority": lambda task: PRIORITIES.index(task["priority"]),
    "title": lambda task: sort_key(task["title"]),
    "position": lambda task: task["position"],
}


@dataclass
class Refusal(Exception):
    """What the service answers instead."""

    status: int
    operation: int | None = None


@dataclass
class Model:
    """One person's tasks, those in the trash too, and how often anything changed."""

    tasks: dict[str, Json] = field(default_factory=dict)
    changes: int = 0

    def find(self, task_id: str, if_match: str | None = None, *, trashed: bool | None = False) -> Json:
        """Return a task that may be written, in the contract's order of judgement."""
        task = self.tasks.get(task_id)
        if task is None or (trashed is False and task["trashed_at"]):
            raise Refusal(404)
        if if_match not in (None, "*", f'"{task["version"]}"'):
            raise Refusal(412)
        if trashed and not task["trashed_at"]:
            raise Refusal(409)
        return task

    def created(self, said: Json, told: Json, now: str) -> Json:
        """Keep a new task. What only the server can say is learned from what it told."""
        own = {name: told[name] for name in ("id", "user_id", "position")}
        fixed = {"version": 1, "created_at": now, "updated_at": now, "trashed_at": None}
        task = {**EMPTY, **said, **own, **fixed}
        task["completed_at"] = now if task["completed"] else None
        self.tasks[task["id"]] = task
        self.changes += 1
        return task

    def changed(self, task: Json, said: Json, now: str) -> Json:
        """Change what differs; where nothing does, nothing changes."""
        after = {**task, **said}
        if after == task:
            return task
        if after["completed"] != task["completed"]:
            after["completed_at"] = now if after["completed"] else None
        after |= {"version": task["version"] + 1, "updated_at": now}
        self.tasks[task["id"]] = after
        self.changes += 1
        return after

    def purged(self, task: Json) -> None:
        """Forget a task."""
        del self.tasks[task["id"]]
        self.changes += 1

    def alive(self) -> list[Json]:
        """Return what is not in the trash."""
        return [task for task in self.tasks.values() if not task["trashed_at"]]

    def own_order(self) -> list[str]:
        """Return the ids of the list in its owner's own order."""
        return [task["id"] for task in listed(self.alive(), "position")]


def listed(tasks: Iterable[Json], sort: str) -> list[Json]:
    """Put tasks in an order: `-` for descending, ties by id, tasks without a due date last in both directions."""
    order, key = sort.removeprefix("-"), ORDERS[sort.removeprefix("-")]
    rows = sorted(tasks, key=lambda task: ("" if (value := key(task)) is None else value, task["id"]))
    if sort.startswith("-"):
        rows.reverse()
    return sorted(rows, key=lambda task: task["due"] is None) if order == "due" else rows
