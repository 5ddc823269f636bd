"""The JSON of tasks, built in Python. Tests compare it with the JSON that PostgreSQL builds (`app.infra.statements.task_json`)."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from app.api import schemas
from app.domain.clock import to_rfc3339
from app.domain.due import Due
from app.domain.identity import UserId
from app.domain.task import Priority, Shown, Task
from app.domain.task_list import Page


def wire_task(task: Task, owner: UserId) -> dict[str, Any]:
    """Return the members of a task's JSON."""
    members = {name: _json(getattr(task, name)) for name in Task.__slots__}
    return {"id": members.pop("id"), "user_id": owner, **members}


def shown(task: Task, owner: UserId) -> Shown:
    """Return a task as a repository returns it."""
    return Shown(schemas.encode(wire_task(task, owner)), task.version)


def read(result: Shown | Page) -> Any:
    """Parse the JSON that a repository returned."""
    return json.loads(result.json)


def _json(value: Any) -> Any:
    match value:
        case Priority():
            return value.name.lower()
        case datetime():
            return to_rfc3339(value)
        case UUID() | Due():
            return str(value)
    return value
