"""Handlers of `/api/{user_id}/tasks`: read the request, call the service, write the response."""

from hashlib import blake2b

from litestar import Controller

from app.api import schemas
from app.api.events import EventStream, read_since
from app.api.openapi import operations
from app.api.requests import cursors, task_bodies
from app.api.requests.batch_body import BATCH_MAX, form_of, read_batch
from app.api.requests.conditional import is_known
from app.api.requests.idempotency import run_once
from app.api.requests.list_query import read_changes_query, read_list, read_zone
from app.api.requests.request import (
    EVENT_STREAM,
    TaskRequest,
    check_accept,
    check_accept_events,
    check_room_for_response,
    json_body,
)
from app.api.responses import JsonResponse, delete, etag, get, patch, post, put
from app.domain.idempotency import ONE_TASK, ResponseForm
from app.domain.task import Shown
from app.domain.task_service import TaskService


class TaskController(Controller):
    """One person's tasks."""

    path = "/api/{user_id:str}/tasks"
    tags = ("Tasks",)
    request_class = TaskRequest
    before_request = check_accept  # type: ignore[assignment]  # Litestar documents that a plain function works

    @get("/", **operations.LIST)
    async def list_tasks(self, request: TaskRequest) -> JsonResponse[list[schemas.Task]]:
        """List tasks."""
        query, tasks = read_list(request), request.context.tasks
        if request.context.headers.get(b"if-none-match"):
            list_etag = _etag_of_list(request, await tasks.revision())
            if is_known(request, list_etag):
                return JsonResponse(b"", status=304, headers=((b"etag", list_etag),))
        page = await tasks.list(query.selection, limit=query.limit, after=query.after)
        headers: tuple[tuple[bytes, bytes], ...] = ((b"etag", _etag_of_list(request, page.revision)),)
        if page.next is not None:
            cursor = cursors.write(page.next, request.context.user_id, query.selection)
            headers = (*headers, _link_to_next(request, query.query_of(cursor)))
        return JsonResponse(page.json, headers=headers)

    @get("/summary", **operations.SUMMARY)
    async def summarize_tasks(self, request: TaskRequest) -> JsonResponse[schemas.Summary]:
        """Count tasks."""
        return JsonResponse(schemas.encode(await request.context.tasks.summary(read_zone(request))))

    @get("/changes", **operations.CHANGES)
    async def list_changes(self, request: TaskRequest) -> JsonResponse[schemas.Changes]:
        """List what changed."""
        query = read_changes_query(request)
        page = await request.context.tasks.read_changes(query.since, query.limit)
        token = cursors.write_token(page.next, request.context.user_id)
        link = _link_to_next(request, f"limit={query.limit}&since={token}")
        body = schemas.encode_changes(page.changes, token, more=page.more)
        return JsonResponse(body, headers=(link,) if page.more else ())

    @get(
        "/events",
        media_type=EVENT_STREAM,
        before_request=check_accept_events,  # type: ignore[arg-type]  # takes this controller's request
        **operations.EVENTS,
    )
    async def stream_events(self, request: TaskRequest) -> EventStream:
        """Follow the changes of tasks."""
        return EventStream(request.context, read_since(request))

    @post("/", **operations.CREATE)
    async def create_task(self, request: TaskRequest) -> JsonResponse[schemas.Task]:
        """Create a task."""
        new, keyed = await task_bodies.read_new_task(request)
        form = ResponseForm(201, location=_path(request))

        async def create(tasks: TaskService) -> JsonResponse[schemas.Task]:
            task_id, task = await tasks.create(new)
            location = f"{form.location}/{task_id}"
            return _task_response(task, form.status, (b"location", location.encode()))

        return await run_once(keyed, request.context.unit_of_work, create, form)

    @post("/batch", request_max_body_size=BATCH_MAX, status_code=200, **operations.BATCH)
    async def batch_tasks(self, request: TaskRequest) -> JsonResponse[schemas.BatchResults]:
        """Run a batch of operations, all or none."""
        check_room_for_response(request)
        commands, keyed = await read_batch(request, await json_body(request, is_batch=True))
        form = form_of(commands)

        async def do(tasks: TaskService) -> JsonResponse[schemas.BatchResults]:
            done = await tasks.batch(commands)
            return JsonResponse(form.body_of(task.json for task in done if task is not None))

        return await run_once(keyed, request.context.unit_of_work, do, form)

    @get("/{task_id:str}", **operations.READ)
    async def get_task(self, request: TaskRequest) -> JsonResponse[schemas.Task]:
        """Read a task."""
        shown = await request.context.tasks.show(await task_bodies.read_task_id(request))
        task_etag = etag(shown.version)
        if is_known(request, task_etag):
            return JsonResponse(b"", status=304, headers=((b"etag", task_etag),))
        return _task_response(shown)

    @put("/{task_id:str}", **operations.UPDATE)
    async def update_task(self, request: TaskRequest) -> JsonResponse[schemas.Task]:
        """Update a task."""
        target, changes = await task_bodies.read_update(request)
        return _task_response(await request.context.tasks.change(target.task_id, changes, target.if_match))

    @patch("/{task_id:str}", **operations.PATCH)
    async def patch_task(self, request: TaskRequest) -> JsonResponse[schemas.Task]:
        """Change some fields of a task."""
        target, changes = await task_bodies.read_patch(request)
        return _task_response(await request.context.tasks.change(target.task_id, changes, target.if_match))

    @delete("/{task_id:str}", **operations.DELETE)
    async def delete_task(self, request: TaskRequest) -> None:
        """Delete a task."""
        target, permanently = await task_bodies.read_removal(request)
        await request.context.tasks.remove(target.task_id, target.if_match, permanently=permanently)

    @post("/{task_id:str}/restore", **operations.RESTORE)
    async def restore_task(self, request: TaskRequest) -> JsonResponse[schemas.Task]:
        """Take a task out of the trash."""
        target = await task_bodies.read_target(request)
        return _task_response(await request.context.tasks.restore(target.task_id, target.if_match))

    @post("/{task_id:str}/move", **operations.MOVE)
    async def move_task(self, request: TaskRequest) -> JsonResponse[schemas.Task]:
        """Move a task in its owner's manual order."""
        return _task_response(await request.context.tasks.move(await task_bodies.read_move(request)))

    @patch("/{task_id:str}/complete", **operations.COMPLETE)
    async def complete_task(self, request: TaskRequest) -> JsonResponse[schemas.Task]:
        """Complete or reopen a task."""
        target, completed, keyed = await task_bodies.read_completion(request)

        async def complete(tasks: TaskService) -> JsonResponse[schemas.Task]:
            return _task_response(await tasks.complete(target.task_id, completed, target.if_match))

        return await run_once(keyed, request.context.unit_of_work, complete, ONE_TASK)


def _task_response(
    task: Shown, status: int = 200, *headers: tuple[bytes, bytes]
) -> JsonResponse[schemas.Task]:
    return JsonResponse(task.json, status=status, headers=((b"etag", etag(task.version)), *headers))


def _etag_of_list(request: TaskRequest, revision: int) -> bytes:
    """Return the entity tag of all lists of a person, which is the same for all pages and filters.

    It has a hash of the owner, because in one browser `me` can be two people, one after the other.
    """
    owner_hash = blake2b(request.context.user_id.encode(), digest_size=8).hexdigest()
    return f'"{owner_hash}.{revision}"'.encode()


def _link_to_next(request: TaskRequest, query: str) -> tuple[bytes, bytes]:
    """Return a `Link` to the page with this query (RFC 8288)."""
    return b"link", f'<{_path(request)}?{query}>; rel="next"'.encode()


def _path(request: TaskRequest) -> str:
    """Return the request's path, still percent-encoded, without a slash at its end."""
    return request.context.instance.rstrip("/")
