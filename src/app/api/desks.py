"""Where a handler gets what the person has at hand who asks.

Plain calls, not dependencies that Litestar injects: docs/decisions/0005-the-hot-path.md has the figures.
"""

from collections.abc import Callable
from typing import Final

from app.api.requests.request import TaskRequest
from app.domain.identity import UserId
from app.domain.task_service import TaskService
from app.domain.unit_of_work import Desk

DESK_OF: Final = "desk_of"
"""In the application's state: makes the desk of an owner. `app.composition` puts it there."""


def desk_of(request: TaskRequest) -> Desk:
    """Return the desk of whoever the token speaks for, and of nobody else."""
    make: Callable[[UserId], Desk] = request.app.state[DESK_OF]
    return make(request.user.user_id)


def tasks_of(request: TaskRequest) -> TaskService:
    """Return the tasks of whoever the token speaks for."""
    return desk_of(request).tasks
