"""What one person has at hand while they are served."""

from collections.abc import Callable
from dataclasses import dataclass

from app.domain.idempotency import IdempotentRequest, ResponseForm
from app.domain.task_service import TaskService


@dataclass(frozen=True, slots=True)
class UnitOfWork:
    """Their tasks, each act by itself; and their tasks for one act under a key."""

    tasks: TaskService
    once: Callable[[IdempotentRequest, ResponseForm], TaskService]
    """Returns a service for one `create`, `complete` or `batch`, which also stores the response.

    The act raises `AlreadyAnswered` if the request was done before, `KeyReused` if it was another one,
    `AnswerGone` if its response is deleted, `KeyInFlight` if it is running, and `TooManyKeys` if there is
    no room for the response.
    """
