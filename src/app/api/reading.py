"""Reading requests: strictly, and every fault told at once, each with its place."""

from typing import Final

from app.api import cursors
from app.api.faults import FIELDS, SERVERS_OWN, Faults, TaskRequest
from app.api.negotiation import json_body
from app.domain.page import PAGE_DEFAULT, PAGE_MAX, Bookmark
from app.domain.task import NewTask, TaskChanges, TaskId

BODY_MAX: Final = 256 * 1024  # bytes


async def read_task_id(request: TaskRequest) -> TaskId:
    """Read a request that names a task and says nothing else."""
    faults = Faults(request)
    task_id = faults.task_id()
    faults.query()
    return faults.raised_or(task_id)


async def read_page(request: TaskRequest) -> tuple[int, Bookmark | None]:
    """Read how many tasks are asked for, and from where on."""
    faults = Faults(request)
    given = faults.query("limit", "cursor")
    limit, after = PAGE_DEFAULT, None
    if (text := given.get("limit")) is not None:
        if (
            text.isascii()
            and text.isdigit()
            and len(text) <= len(str(PAGE_MAX))
            and 1 <= int(text) <= PAGE_MAX
        ):
            limit = int(text)
        else:
            faults.add("/limit", f"must be a whole number from 1 to {PAGE_MAX}", "query")
    if (text := given.get("cursor")) is not None:
        try:
            after = cursors.read(text)
        except ValueError as error:
            faults.add("/cursor", str(error), "query")
    return faults.raised_or((limit, after))


async def read_new_task(request: TaskRequest) -> NewTask:
    """Read a task to create."""
    faults = Faults(request)
    faults.query()
    faults.key()
    members = faults.members(await json_body(request), FIELDS)
    if "title" not in members and not faults.has("/title"):
        faults.add("/title", "must be given")
    faults.rules(members)
    faults.raise_any()
    return NewTask(**members)


async def read_changes(request: TaskRequest) -> tuple[TaskId, TaskChanges]:
    """Read which fields of which task change. What the server owns may be sent back, and is ignored."""
    faults = Faults(request)
    task_id = faults.task_id()
    faults.query()
    members = faults.members(await json_body(request), FIELDS, ignored=SERVERS_OWN)
    for name, right in (("id", str(task_id)), ("user_id", request.user.user_id)):
        if name in members and not same(members.pop(name), right, ignoring_case=name == "id"):
            faults.add(f"/{name}", "contradicts the path")
    changes = {name: value for name, value in members.items() if name in FIELDS}
    faults.rules(changes)
    faults.raise_any()
    return task_id, TaskChanges(**changes)


async def read_completion(request: TaskRequest) -> tuple[TaskId, bool | None]:
    """Read whether a task shall be completed; None, from an empty body: the opposite of what it is."""
    faults = Faults(request)
    task_id = faults.task_id()
    faults.query()
    faults.key()
    body = await json_body(request)
    if not body:
        return faults.raised_or((task_id, None))
    members = faults.members(body, {"completed": FIELDS["completed"]})
    if "completed" not in members and not faults.has("/completed"):
        faults.add("/completed", "must be given (or send no body at all, to toggle)")
    faults.raise_any()
    return task_id, members["completed"]


def same(sent: object, right: str, *, ignoring_case: bool) -> bool:
    """Tell whether a member says what the path says."""
    return sent == right or (ignoring_case and isinstance(sent, str) and sent.lower() == right)
