"""What one person has at hand while they are served."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from app.domain.idempotency import StoredResponses
from app.domain.task_service import TaskService


@dataclass(frozen=True, slots=True)
class UnitOfWork:
    """Their tasks, each act by itself; and the way to do several things as one, or not at all."""

    tasks: TaskService
    transaction: Callable[[], AbstractAsyncContextManager[tuple[TaskService, StoredResponses]]]
    """Whatever is raised within undoes all that was done there. Nothing else may be asked for meanwhile."""
