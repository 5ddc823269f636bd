"""Makes valid tasks and people. A test sets only the values that matter to it."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from polyfactory import Use
from polyfactory.factories import DataclassFactory

from app.domain.identity import UserId
from app.domain.position import position_of_new
from app.domain.task import NewTask, Priority, Task, TaskId, new_task_id

MANY = 1000  # tasks: a limit that no test reaches
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def someone(name: str = "ann") -> UserId:
    """Return the id of a person whom no other test uses. So tests can share a database."""
    return UserId(f"{name}-{uuid4().hex}")


def later(minutes: int) -> datetime:
    """Return the moment `minutes` after noon."""
    return NOON + timedelta(minutes=minutes)


def a_task_id() -> TaskId:
    """Return an id that no task has."""
    return new_task_id(NOON)


class NewTaskFactory(DataclassFactory[NewTask]):
    """A task that a person wants to create."""

    __random_seed__ = 1
    __use_defaults__ = True

    title = Use(lambda: f"task {NewTaskFactory.__random__.randrange(10**6)}")


class TaskFactory(DataclassFactory[Task]):
    """An open task, created at noon."""

    __random_seed__ = 1
    __use_defaults__ = True

    id = Use(lambda: new_task_id(NOON))
    title = Use(lambda: f"task {TaskFactory.__random__.randrange(10**6)}")
    description = Use(lambda: f"about {TaskFactory.__random__.randrange(10**6)}")
    completed = False
    due = None
    priority = Priority.NONE
    tags = ()
    position = Use(lambda: position_of_new(NOON))
    version = 1
    created_at = NOON
    updated_at = NOON
    completed_at = None


def task_made(minutes: int) -> Task:
    """Return a task that was created `minutes` after noon."""
    now = later(minutes)
    return TaskFactory.build(id=new_task_id(now), created_at=now, updated_at=now)
