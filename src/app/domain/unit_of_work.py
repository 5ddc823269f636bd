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

    The write raises `AlreadyDone` if this request was done before under the key, `KeyReused` if another
    request was, `ResponseGone` if a task of the stored response was deleted permanently, `KeyInFlight` if a
    request with the key is still running, and `TooManyKeys` if there is no room for the response.
    """
