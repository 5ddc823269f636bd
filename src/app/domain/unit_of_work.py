"""The unit of work for one authenticated user."""

from collections.abc import Callable
from dataclasses import dataclass

from app.domain.idempotency import IdempotentRequest, ResponseForm
from app.domain.task_service import TaskService


@dataclass(frozen=True, slots=True)
class UnitOfWork:
    """The tasks of one user, and the same tasks for one write under an Idempotency-Key."""

    tasks: TaskService
    once: Callable[[IdempotentRequest, ResponseForm], TaskService]
    """Returns a service for one `create`, `complete` or `batch`, which also stores the response.

    The write raises an error if the key was used before: `AlreadyDone` by this request, `KeyReused` by
    another, `KeyInFlight` by one that is still running. It raises `ResponseGone` if a task of the stored
    response was deleted permanently, and `TooManyKeys` if there is no room for the response.
    """
