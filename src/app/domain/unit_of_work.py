"""Unit of work for one authenticated user."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from app.domain.idempotency import StoredResponses
from app.domain.task_service import TaskService


@dataclass(frozen=True, slots=True)
class UnitOfWork:
    """The user's tasks: each operation by itself, or several in one transaction."""

    tasks: TaskService
    transaction: Callable[[], AbstractAsyncContextManager[tuple[TaskService, StoredResponses]]]
    """An exception inside rolls the transaction back. Use nothing else of this object meanwhile."""
