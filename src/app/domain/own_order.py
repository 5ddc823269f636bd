"""Moving a task in its owner's own order."""

from dataclasses import dataclass

from app.domain.task import TaskId, Versions


@dataclass(frozen=True, slots=True)
class Move:
    """A task shall stand right before or right after another."""

    task_id: TaskId
    beside: TaskId
    before: bool
    if_match: Versions | None = None
