"""Reading requests: strictly, and every fault told at once, each with its place."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from app.api.requests.conditional import read_expected_versions
from app.api.requests.request import JSON, MERGE_PATCH, TaskRequest, json_body
from app.api.requests.validation import CLEARED, FIELDS, SERVERS_OWN, UUID_FORM, Faults
from app.domain.commands import Move
from app.domain.task import NewTask, TaskChanges, TaskId, Versions

BODY_MAX: Final = 256 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Named:
    """A request that names a task, and maybe the versions that it may have."""

    task_id: TaskId
    if_match: Versions | None = None


async def read_task_id(request: TaskRequest) -> TaskId:
    """Read a request that asks for a task and says nothing else."""
    faults = Faults(request)
    task_id = faults.task_id()
    faults.query()
    return faults.raised_or(task_id)


async def read_named(request: TaskRequest) -> Named:
    """Read a request that changes a task and says nothing else."""
    faults = Faults(request)
    faults.query()
    return faults.raised_or(_named(request, faults))


async def read_removal(request: TaskRequest) -> tuple[Named, bool]:
    """Read which task shall go, and whether for good."""
    faults = Faults(request)
    permanent = faults.query("permanent").get("permanent", "false")
    if permanent not in ("true", "false"):
        faults.add("/permanent", "must be true or false", "query")
    return faults.raised_or((_named(request, faults), permanent == "true"))


async def read_new_task(request: TaskRequest) -> NewTask:
    """Read a task to create."""
    faults = Faults(request)
    faults.query()
    faults.key()
    members = faults.members(await json_body(request), FIELDS)
    if "title" not in members and not (faults.has("/title") or faults.has("")):
        faults.add("/title", "must be given")
    faults.raise_any_with_rules(members)
    return NewTask(**members)


async def read_update(request: TaskRequest) -> tuple[Named, TaskChanges]:
    """Read which fields of which task change. What the server owns may be sent back, and is ignored."""
    faults = Faults(request)
    named = _named(request, faults)
    faults.query()
    members = faults.members(await json_body(request), FIELDS, ignored=SERVERS_OWN)
    for name, right in (("id", str(named.task_id)), ("user_id", request.user.user_id)):
        if name in members and not same(members.pop(name), right, ignoring_case=name == "id"):
            faults.add(f"/{name}", "contradicts the path")
    return _changes(faults, named, {name: value for name, value in members.items() if name in FIELDS})


async def read_patch(request: TaskRequest) -> tuple[Named, TaskChanges]:
    """Read a JSON Merge Patch (RFC 7396): null takes away what can be empty."""
    faults = Faults(request)
    named = _named(request, faults)
    faults.query()
    body = await json_body(request, MERGE_PATCH, JSON)
    return _changes(faults, named, faults.members(body, FIELDS, empty=CLEARED))


async def read_completion(request: TaskRequest) -> tuple[Named, bool | None]:
    """Read whether to complete a task. None, from an empty body, `{}` or `null`: toggle it."""
    faults = Faults(request)
    named = _named(request, faults)
    faults.query()
    faults.key()
    body = await json_body(request, optional=True)
    if body.strip() in (b"", b"null"):
        return faults.raised_or((named, None))
    members = faults.members(body, {"completed": FIELDS["completed"]})
    return faults.raised_or((named, members.get("completed")))


async def read_move(request: TaskRequest) -> Move:
    """Read where a task shall stand: beside which other one, and whether before it."""
    faults = Faults(request)
    named = _named(request, faults)
    faults.query()
    members = faults.members(await json_body(request), {"before": read_id, "after": read_id})
    if len(members) != 1 and not (faults.has("/before") or faults.has("/after") or faults.has("")):
        faults.add("", "must have one member, `before` or `after`")
    faults.raise_any()
    ((side, beside),) = members.items()
    return Move(named.task_id, beside, side == "before", named.if_match)


def same(sent: object, right: str, *, ignoring_case: bool) -> bool:
    """Tell whether a member says what the path says."""
    return sent == right or (ignoring_case and isinstance(sent, str) and sent.lower() == right)


def _named(request: TaskRequest, faults: Faults) -> Named:
    return Named(faults.task_id(), read_expected_versions(request, faults))


def _changes(faults: Faults, named: Named, members: dict[str, Any]) -> tuple[Named, TaskChanges]:
    faults.raise_any_with_rules(members)
    return named, TaskChanges(**members)


def read_id(value: object) -> TaskId:
    """Read a member that names a task.

    Raises:
        ValueError: it does not.

    """
    if not isinstance(value, str) or not UUID_FORM.fullmatch(value):
        raise ValueError("must be the id of a task, a UUID")
    return TaskId(UUID(value))
