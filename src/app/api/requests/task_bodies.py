"""Reading requests about tasks. Each function collects all validation errors and raises InvalidRequest."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from app.api.requests.conditional import read_expected_versions
from app.api.requests.idempotency import idempotent_request
from app.api.requests.request import JSON, MERGE_PATCH, TaskRequest, json_body
from app.api.requests.validation import READ_ONLY, UUID_FORM, ErrorCollector, read_flag
from app.api.task_fields import CLEARED, READERS
from app.domain.commands import Move
from app.domain.idempotency import IdempotentRequest
from app.domain.task import NewTask, TaskChanges, TaskId, Versions

BODY_MAX: Final = 256 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class TaskTarget:
    """The task of a request, and the versions that `If-Match` allows; None: any."""

    task_id: TaskId
    if_match: Versions | None = None


async def read_task_id(request: TaskRequest) -> TaskId:
    """Read the task id of a request without parameters or a body."""
    errors = ErrorCollector(request)
    task_id = errors.read_task_id()
    errors.read_query()
    return errors.value_or_raise(task_id)


async def read_target(request: TaskRequest) -> TaskTarget:
    """Read the target of a write without parameters or a body."""
    errors = ErrorCollector(request)
    errors.read_query()
    return errors.value_or_raise(_target(request, errors))


async def read_removal(request: TaskRequest) -> tuple[TaskTarget, bool]:
    """Read which task to delete, and whether to delete it permanently."""
    errors = ErrorCollector(request)
    text = errors.read_query("permanent").get("permanent", "false")
    permanently = errors.read("/permanent", "query", read_flag, text) is True
    return errors.value_or_raise((_target(request, errors), permanently))


async def read_new_task(request: TaskRequest) -> tuple[NewTask, IdempotentRequest | None]:
    """Read a task to create."""
    errors = ErrorCollector(request)
    errors.read_query()
    key = errors.read_idempotency_key()
    content = errors.read_json(await json_body(request))
    members = errors.read_members(content, READERS)
    if "title" not in members and not (errors.has("/title") or errors.has("")):
        errors.add("/title", "must be given")
    errors.raise_any_with_rules(members)
    return NewTask(**members), idempotent_request("create", key, content)


async def read_update(request: TaskRequest) -> tuple[TaskTarget, TaskChanges]:
    """Read the target and the changed fields of an update.

    Read-only fields may be sent back and are ignored, but `id` and `user_id` must be those of the path.
    """
    errors = ErrorCollector(request)
    target = _target(request, errors)
    errors.read_query()
    content = errors.read_json(await json_body(request))
    members = errors.read_members(content, READERS, ignored=READ_ONLY)
    for name, in_path in (("id", str(target.task_id)), ("user_id", request.context.user_id)):
        if name in members and not _matches_path(members.pop(name), in_path, ignoring_case=name == "id"):
            errors.add(f"/{name}", "contradicts the path")
    return _changes(errors, target, {name: value for name, value in members.items() if name in READERS})


async def read_patch(request: TaskRequest) -> tuple[TaskTarget, TaskChanges]:
    """Read a JSON Merge Patch (RFC 7396): null clears a field that can be empty."""
    errors = ErrorCollector(request)
    target = _target(request, errors)
    errors.read_query()
    content = errors.read_json(await json_body(request, MERGE_PATCH, JSON))
    return _changes(errors, target, errors.read_members(content, READERS, null_values=CLEARED))


async def read_completion(request: TaskRequest) -> tuple[TaskTarget, bool | None, IdempotentRequest | None]:
    """Read whether to complete a task. None, from an empty body, `{}` or `null`: toggle it."""
    errors = ErrorCollector(request)
    target = _target(request, errors)
    errors.read_query()
    key = errors.read_idempotency_key()
    body = await json_body(request, ignore_type_if_empty=True)
    content = errors.read_json(body) if body.strip() else None
    members = {} if content is None else errors.read_members(content, {"completed": READERS["completed"]})
    errors.raise_any()
    keyed = idempotent_request(f"complete/{target.task_id}", key, content)
    return target, members.get("completed"), keyed


async def read_move(request: TaskRequest) -> Move:
    """Read the new place of a task: before or after another one."""
    errors = ErrorCollector(request)
    target = _target(request, errors)
    errors.read_query()
    content = errors.read_json(await json_body(request))
    members = errors.read_members(content, {"before": read_id, "after": read_id})
    if len(members) != 1 and not (errors.has("/before") or errors.has("/after") or errors.has("")):
        errors.add("", "must have one member, `before` or `after`")
    errors.raise_any()
    ((side, beside),) = members.items()
    return Move(target.task_id, beside, side == "before", target.if_match)


def _matches_path(sent: object, in_path: str, *, ignoring_case: bool) -> bool:
    """Return whether a member has the same value as the path."""
    return sent == in_path or (ignoring_case and isinstance(sent, str) and sent.lower() == in_path)


def _target(request: TaskRequest, errors: ErrorCollector) -> TaskTarget:
    return TaskTarget(errors.read_task_id(), read_expected_versions(request, errors))


def _changes(
    errors: ErrorCollector, target: TaskTarget, members: dict[str, Any]
) -> tuple[TaskTarget, TaskChanges]:
    errors.raise_any_with_rules(members)
    return target, TaskChanges(**members)


def read_id(value: object) -> TaskId:
    """Read a member that is a task id.

    Raises:
        ValueError: it is not a UUID.
    """
    if not isinstance(value, str) or not UUID_FORM.fullmatch(value):
        raise ValueError("must be the id of a task, a UUID")
    return TaskId(UUID(value))
