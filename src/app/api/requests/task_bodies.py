"""Reading requests: strictly, and every fault told at once, each with its place."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from app.api.requests.conditional import read_expected_versions
from app.api.requests.request import JSON, MERGE_PATCH, TaskRequest, json_body
from app.api.requests.validation import CLEARED, FIELDS, SERVERS_OWN, UUID_FORM, ErrorCollector
from app.domain.commands import Move
from app.domain.task import NewTask, TaskChanges, TaskId, Versions

BODY_MAX: Final = 256 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class TaskTarget:
    """A request that names a task, and maybe the versions that it may have."""

    task_id: TaskId
    if_match: Versions | None = None


async def read_task_id(request: TaskRequest) -> TaskId:
    """Read a request that asks for a task and says nothing else."""
    errors = ErrorCollector(request)
    task_id = errors.task_id()
    errors.query()
    return errors.raised_or(task_id)


async def read_named(request: TaskRequest) -> TaskTarget:
    """Read a request that changes a task and says nothing else."""
    errors = ErrorCollector(request)
    errors.query()
    return errors.raised_or(_named(request, errors))


async def read_removal(request: TaskRequest) -> tuple[TaskTarget, bool]:
    """Read which task shall go, and whether for good."""
    errors = ErrorCollector(request)
    permanent = errors.query("permanent").get("permanent", "false")
    if permanent not in ("true", "false"):
        errors.add("/permanent", "must be true or false", "query")
    return errors.raised_or((_named(request, errors), permanent == "true"))


async def read_new_task(request: TaskRequest) -> NewTask:
    """Read a task to create."""
    errors = ErrorCollector(request)
    errors.query()
    errors.key()
    members = errors.members(await json_body(request), FIELDS)
    if "title" not in members and not (errors.has("/title") or errors.has("")):
        errors.add("/title", "must be given")
    errors.raise_any_with_rules(members)
    return NewTask(**members)


async def read_update(request: TaskRequest) -> tuple[TaskTarget, TaskChanges]:
    """Read which fields of which task change. What the server owns may be sent back, and is ignored."""
    errors = ErrorCollector(request)
    named = _named(request, errors)
    errors.query()
    members = errors.members(await json_body(request), FIELDS, ignored=SERVERS_OWN)
    for name, right in (("id", str(named.task_id)), ("user_id", request.user.user_id)):
        if name in members and not same(members.pop(name), right, ignoring_case=name == "id"):
            errors.add(f"/{name}", "contradicts the path")
    return _changes(errors, named, {name: value for name, value in members.items() if name in FIELDS})


async def read_patch(request: TaskRequest) -> tuple[TaskTarget, TaskChanges]:
    """Read a JSON Merge Patch (RFC 7396): null takes away what can be empty."""
    errors = ErrorCollector(request)
    named = _named(request, errors)
    errors.query()
    body = await json_body(request, MERGE_PATCH, JSON)
    return _changes(errors, named, errors.members(body, FIELDS, empty=CLEARED))


async def read_completion(request: TaskRequest) -> tuple[TaskTarget, bool | None]:
    """Read whether to complete a task. None, from an empty body, `{}` or `null`: toggle it."""
    errors = ErrorCollector(request)
    named = _named(request, errors)
    errors.query()
    errors.key()
    body = await json_body(request, optional=True)
    if body.strip() in (b"", b"null"):
        return errors.raised_or((named, None))
    members = errors.members(body, {"completed": FIELDS["completed"]})
    return errors.raised_or((named, members.get("completed")))


async def read_move(request: TaskRequest) -> Move:
    """Read where a task shall stand: beside which other one, and whether before it."""
    errors = ErrorCollector(request)
    named = _named(request, errors)
    errors.query()
    members = errors.members(await json_body(request), {"before": read_id, "after": read_id})
    if len(members) != 1 and not (errors.has("/before") or errors.has("/after") or errors.has("")):
        errors.add("", "must have one member, `before` or `after`")
    errors.raise_any()
    ((side, beside),) = members.items()
    return Move(named.task_id, beside, side == "before", named.if_match)


def same(sent: object, right: str, *, ignoring_case: bool) -> bool:
    """Tell whether a member says what the path says."""
    return sent == right or (ignoring_case and isinstance(sent, str) and sent.lower() == right)


def _named(request: TaskRequest, errors: ErrorCollector) -> TaskTarget:
    return TaskTarget(errors.task_id(), read_expected_versions(request, errors))


def _changes(
    errors: ErrorCollector, named: TaskTarget, members: dict[str, Any]
) -> tuple[TaskTarget, TaskChanges]:
    errors.raise_any_with_rules(members)
    return named, TaskChanges(**members)


def read_id(value: object) -> TaskId:
    """Read a member that names a task.

    Raises:
        ValueError: it does not.

    """
    if not isinstance(value, str) or not UUID_FORM.fullmatch(value):
        raise ValueError("must be the id of a task, a UUID")
    return TaskId(UUID(value))
