"""Tasks as the API shows them, written without PostgreSQL: what `app.infra.statements.task_json` is held to."""

import json
from datetime import datetime
from typing import Any

from app.api import schemas
from app.domain.clock import to_rfc3339
from app.domain.identity import UserId
from app.domain.task import Shown, Task
from app.domain.task_list import Page


def wire_task(task: Task, owner: UserId) -> schemas.Task:
    """Return what is shown of a task."""
    return schemas.Task(
        id=task.id,
        user_id=owner,
        title=task.title,
        description=task.description,
        completed=task.completed,
        due=None if task.due is None else str(task.due),
        priority=task.priority.name.lower(),  # type: ignore[arg-type]  # the names are the document's
        tags=list(task.tags),
        position=task.position,
        version=task.version,
        created_at=to_rfc3339(task.created_at),
        updated_at=to_rfc3339(task.updated_at),
        completed_at=_moment(task.completed_at),
        trashed_at=_moment(task.trashed_at),
    )


def shown(task: Task, owner: UserId) -> Shown:
    """Return a task as a repository shows it."""
    return Shown(schemas.encode(wire_task(task, owner)), task.version)


def read(seen: Shown | Page) -> Any:
    """Read what a repository shows."""
    return json.loads(seen.json)


def _moment(at: datetime | None) -> str | None:
    return None if at is None else to_rfc3339(at)
