"""`/api/{user_id}/tasks`: decode, call one method of the service, encode."""

from collections.abc import Collection
from hashlib import blake2b
from typing import Any

from litestar import Controller

from app.api import schemas
from app.api.openapi import operations
from app.api.requests import cursors
from app.api.requests.batch_body import BATCH_MAX, read_batch, results
from app.api.requests.conditional import is_known
from app.api.requests.idempotency import once
from app.api.requests.list_query import Asked, read_list, read_zone
from app.api.requests.request import TaskRequest, desk_of, expect_answers_taken, first, tasks_of
from app.api.requests.task_bodies import (
    read_completion,
    read_move,
    read_named,
    read_new_task,
    read_patch,
    read_removal,
    read_task_id,
    read_update,
)
from app.api.responses import Answer, delete, etag, get, patch, post, put, refuse_what_cannot_be_accepted
from app.domain.task import Shown, TaskId
from app.domain.task_list import Page
from app.domain.task_service import TaskService


class TaskController(Controller):
    """One person's tasks."""

    path = "/api/{user_id:str}/tasks"
    tags = ("Tasks",)
    request_class = TaskRequest
    before_request = refuse_what_cannot_be_accepted  # type: ignore[assignment]  # a plain function, as documented

    @get("/", **operations.LIST)
    async def list_tasks(self, request: TaskRequest) -> Answer[list[schemas.Task]]:
        """List tasks."""
        asked, tasks = read_list(request), tasks_of(request)
        if first(request, b"if-none-match") and is_known(
            request, tag := _list_tag(request, await tasks.revision())
        ):
            return Answer(b"", status=304, headers=((b"etag", tag),))
        page = await tasks.list(asked.selection, limit=asked.limit, after=asked.after)
        tag = _list_tag(request, page.revision)
        return Answer(page.json, headers=((b"etag", tag), *_next(request, page, asked)))

    @get("/summary", **operations.SUMMARY)
    async def summarize_tasks(self, request: TaskRequest) -> Answer[schemas.Summary]:
        """Count tasks."""
        return Answer(schemas.encode(await tasks_of(request).summary(read_zone(request))))

    @post("/", **operations.CREATE)
    async def create_task(self, request: TaskRequest) -> Answer[schemas.Task]:
        """Create a task."""
        new = await read_new_task(request)

        async def create(tasks: TaskService) -> tuple[Answer[schemas.Task], Collection[TaskId]]:
            task_id, task = await tasks.create(new)
            return _created(request, task_id, task), (task_id,)

        return await once(request, desk_of(request), "create", create)

    @post("/batch", request_max_body_size=BATCH_MAX, status_code=200, **operations.BATCH)
    async def batch_tasks(self, request: TaskRequest) -> Answer[schemas.BatchResults]:
        """Do many things at once."""
        expect_answers_taken(request)
        wanted = await read_batch(request)

        async def do(tasks: TaskService) -> tuple[Answer[schemas.BatchResults], Collection[TaskId]]:
            done = await tasks.batch(wanted)
            shows = [task_id for task_id, task in done if task is not None]
            return Answer(results(wanted, [task for _, task in done])), shows

        return await once(request, desk_of(request), "batch", do)

    @get("/{task_id:str}", **operations.READ)
    async def get_task(self, request: TaskRequest) -> Answer[schemas.Task]:
        """Read a task."""
        shown = await tasks_of(request).show(await read_task_id(request))
        if is_known(request, tag := etag(shown.version)):
            return Answer(b"", status=304, headers=((b"etag", tag),))
        return _told(shown)

    @put("/{task_id:str}", **operations.UPDATE)
    async def update_task(self, request: TaskRequest) -> Answer[schemas.Task]:
        """Update a task."""
        named, changes = await read_update(request)
        return _told(await tasks_of(request).change(named.task_id, changes, named.if_match))

    @patch("/{task_id:str}", **operations.PATCH)
    async def patch_task(self, request: TaskRequest) -> Answer[schemas.Task]:
        """Change some fields of a task."""
        named, changes = await read_patch(request)
        return _told(await tasks_of(request).change(named.task_id, changes, named.if_match))

    @delete("/{task_id:str}", **operations.DELETE)
    async def delete_task(self, request: TaskRequest) -> None:
        """Delete a task."""
        named, permanently = await read_removal(request)
        await tasks_of(request).remove(named.task_id, named.if_match, permanently=permanently)

    @post("/{task_id:str}/restore", **operations.RESTORE)
    async def restore_task(self, request: TaskRequest) -> Answer[schemas.Task]:
        """Take a task out of the trash."""
        named = await read_named(request)
        return _told(await tasks_of(request).restore(named.task_id, named.if_match))

    @post("/{task_id:str}/move", **operations.MOVE)
    async def move_task(self, request: TaskRequest) -> Answer[schemas.Task]:
        """Move a task in one's own order."""
        return _told(await tasks_of(request).move(await read_move(request)))

    @patch("/{task_id:str}/complete", **operations.COMPLETE)
    async def complete_task(self, request: TaskRequest) -> Answer[schemas.Task]:
        """Complete or reopen a task."""
        named, completed = await read_completion(request)

        async def complete(tasks: TaskService) -> tuple[Answer[schemas.Task], Collection[TaskId]]:
            return _told(await tasks.complete(named.task_id, completed, named.if_match)), (named.task_id,)

        return await once(request, desk_of(request), f"complete/{named.task_id}", complete)


def _created(request: TaskRequest, task_id: TaskId, task: Shown) -> Answer[schemas.Task]:
    return _told(task, 201, (b"location", f"{_asked(request)}/{task_id}".encode()))


def _told(task: Shown, status: int = 200, *headers: tuple[bytes, bytes]) -> Answer[schemas.Task]:
    return Answer(task.json, status=status, headers=((b"etag", etag(task.version)), *headers))


def _list_tag(request: TaskRequest, revision: int) -> bytes:
    """Write the entity tag of any page of a list. It says whose: `me` may be two people in one browser."""
    whose = blake2b(request.user.user_id.encode(), digest_size=8).hexdigest()
    return f'"{whose}.{revision}"'.encode()


def _next(request: TaskRequest, page: Page, asked: Asked) -> tuple[tuple[bytes, bytes], ...]:
    """Say where the next page is (RFC 8288), if there is one."""
    if page.next is None:
        return ()
    query = asked.query_of(cursors.write(page.next, request.user.user_id, asked.selection))
    return ((b"link", f'<{_asked(request)}?{query}>; rel="next"'.encode()),)


def _asked(request: TaskRequest) -> str:
    """Return the path as it was asked for, percent-encoding included."""
    scope: Any = request.scope
    path: str = scope["instance"]
    return path.rstrip("/")
