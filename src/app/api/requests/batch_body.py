"""Reading a batch. Each operation is validated as strictly as a request of its own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Final

from litestar.exceptions import HTTPException

from app.api.requests.conditional import read_versions
from app.api.requests.idempotency import canonical_json
from app.api.requests.request import TaskRequest
from app.api.requests.task_bodies import BODY_MAX, read_id
from app.api.requests.validation import ErrorCollector, FieldReader, Members, kind
from app.api.task_fields import CLEARED, READERS
from app.domain.commands import OPERATIONS_MAX, Change, Command, Restore, Trash
from app.domain.idempotency import IdempotentRequest, ResponseForm
from app.domain.task import MissingVersions, NewTask, TaskChanges, TaskId, Versions
from app.event_loop import TimeSlice
from app.strict_json import PartTooLong

IF_MATCH_MAX: Final = 1_000  # characters
BATCH_MAX: Final = 2 * 1024 * 1024  # bytes; each operation may be as large as any other body

CommandParts = tuple[Callable[[Members], Command], Members]
"""A constructor and its arguments. The constructor is called only after the whole batch is valid."""


async def read_batch(request: TaskRequest, body: bytes) -> tuple[Sequence[Command], IdempotentRequest | None]:
    """Read the commands of a batch.

    Raises:
        InvalidRequest: with all validation errors.
        HTTPException: 413, an operation is too large.
    """
    errors = ErrorCollector(request)
    errors.read_query()
    key = errors.read_idempotency_key()
    time_slice, read = TimeSlice(), []
    first_numbers: dict[TaskId, int] = {}
    try:
        content = await errors.read_json_in_slices(body, time_slice, part_max=BODY_MAX)
    except PartTooLong as error:
        raise HTTPException(status_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE) from error
    members = errors.read_members(content, {"operations": _read_operations})
    operations = members.get("operations", [])
    if not (operations or errors.has("") or errors.has("/operations")):
        errors.add("/operations", "must be given")
    default_if_match = MissingVersions() if request.context.app.require_if_match else None
    for number, operation in enumerate(operations):
        within = errors.within(f"/operations/{number}")
        parts = _read_operation(within, operation, default_if_match)
        _refuse_repeated_task(within, parts, number, first_numbers)
        read.append(parts)
        await time_slice.yield_to_others()
    errors.raise_any()
    commands = []
    for make, members in filter(None, read):
        commands.append(make(members))
        await time_slice.yield_to_others()
    if key is None:
        return commands, None
    return commands, IdempotentRequest("batch", key, await _fingerprint(operations, time_slice))


async def _fingerprint(operations: Sequence[object], time_slice: TimeSlice) -> bytes:
    """Return the fingerprint of a batch: that of its whole body, computed operation by operation."""
    digest = sha256(b'{"operations":')
    for number, operation in enumerate(operations):
        digest.update(b"," if number else b"[")
        digest.update(canonical_json(operation))
        await time_slice.yield_to_others()
    digest.update(b"]}")
    return digest.digest()


def form_of(commands: Iterable[Command]) -> ResponseForm:
    """Return the form of the response: the result of each operation, in the order of the request."""
    results = b'{"results":[%s]}' % b",".join(map(_form_of_result, commands))
    return ResponseForm(texts=tuple(results.split(_TASK_PLACEHOLDER)))


_TASK_PLACEHOLDER: Final = b"\0"  # stands in the place of a task's JSON, until the response is written


def _form_of_result(command: Command) -> bytes:
    if isinstance(command, Trash):
        return b'{"status":204}'
    return b'{"status":%d,"task":%s}' % (201 if isinstance(command, NewTask) else 200, _TASK_PLACEHOLDER)


def _read_operations(value: object) -> list[object]:
    if not isinstance(value, list) or not 1 <= len(value) <= OPERATIONS_MAX:
        raise ValueError(f"must be an array of 1 to {OPERATIONS_MAX} operations")
    return value


def _read_operation(
    errors: ErrorCollector, operation: object, default_if_match: Versions | None
) -> CommandParts | None:
    if not isinstance(operation, dict):
        errors.add("", f"must be an object, not {kind(operation)}")
        return None
    op = operation.get("op")
    if not isinstance(op, str) or op not in _KINDS:
        errors.add("/op", f"must be one of {', '.join(_KINDS)}")
        return None
    make, fields, required = _KINDS[op]
    sent = {name: value for name, value in operation.items() if name != "op"}
    members = errors.read_members(sent, fields, null_values=CLEARED if op == "update" else None)
    if required not in members and not errors.has(f"/{required}"):
        errors.add(f"/{required}", "must be given")
    errors.add_broken_rules(members)
    if "if_match" in fields:
        members.setdefault("if_match", default_if_match)
    return make, members


def _refuse_repeated_task(
    errors: ErrorCollector, parts: CommandParts | None, number: int, first_numbers: dict[TaskId, int]
) -> None:
    """Add an error if an earlier operation names the task. `first_numbers` has the first of each task."""
    task_id = parts and parts[1].get("id")  # of the members
    if task_id and (earlier := first_numbers.setdefault(task_id, number)) != number:
        errors.add("/id", f"is named by /operations/{earlier} as well")


def _read_if_match(value: object) -> Versions | None:
    if not isinstance(value, str):
        raise ValueError(f'must be a string like "\\"3\\"", not {kind(value)}')  # noqa: TRY004 - field readers raise ValueError
    if len(value) > IF_MATCH_MAX:
        raise ValueError(f"must have at most {IF_MATCH_MAX} characters")
    return read_versions(value)


def _make_change(members: Members) -> Change:
    task_id, if_match = members.pop("id"), members.pop("if_match")
    return Change(task_id, TaskChanges(**members), if_match)


def _make_completion(members: Members) -> Change:
    return _make_change({"completed": True, **members})


_TARGET_FIELDS: Final[Mapping[str, FieldReader]] = {"id": read_id, "if_match": _read_if_match}
_KINDS: Final[Mapping[str, tuple[Callable[[Members], Command], Mapping[str, FieldReader], str]]] = {
    "create": (lambda members: NewTask(**members), READERS, "title"),
    "update": (_make_change, {**_TARGET_FIELDS, **READERS}, "id"),
    "complete": (_make_completion, {**_TARGET_FIELDS, "completed": READERS["completed"]}, "id"),
    "delete": (lambda members: Trash(members["id"], members["if_match"]), _TARGET_FIELDS, "id"),
    "restore": (lambda members: Restore(members["id"], members["if_match"]), _TARGET_FIELDS, "id"),
}
"""Each kind of operation: its constructor, the readers of its members, and the member that is required."""
