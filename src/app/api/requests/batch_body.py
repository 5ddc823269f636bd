"""A batch: many operations, each read as strictly as if it were a request of its own."""

import marshal
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from litestar.exceptions import HTTPException

from app.api.requests.conditional import REQUIRE_IF_MATCH, read_versions
from app.api.requests.request import TaskRequest, json_body
from app.api.requests.task_bodies import BODY_MAX, read_id
from app.api.requests.validation import CLEARED, FIELDS, ErrorCollector, FieldReader, Members, kind
from app.domain.commands import OPERATIONS_MAX, Change, Command, Restore, Trash
from app.domain.task import MissingVersions, NewTask, Shown, TaskChanges, TaskId, Versions
from app.event_loop import TimeSlice

IF_MATCH_MAX: Final = 1_000  # characters
BATCH_MAX: Final = 2 * 1024 * 1024  # bytes; each operation may be as large as any other body

Made = tuple[Callable[[Members], Command], Members]
"""What makes an operation, and of what: it is not made while there is any fault."""


async def read_batch(request: TaskRequest) -> Sequence[Command]:
    """Read what shall be done."""
    errors = ErrorCollector(request)
    errors.query()
    errors.key()
    body, turns, read = await json_body(request), TimeSlice(), []
    if len(body) > BODY_MAX:
        await turns.wait()
    members = errors.members(body, {"operations": _operations})
    given = members.get("operations", [])
    if len(body) > BODY_MAX and any(map(_is_too_large, given)):
        raise HTTPException(status_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    if not (given or errors.has("") or errors.has("/operations")):
        errors.add("/operations", "must be given")
    unsaid = MissingVersions() if request.route_handler.opt.get(REQUIRE_IF_MATCH) else None
    for number, one in enumerate(given):
        read.append(_read(errors.within(f"/operations/{number}"), one, unsaid))
        await turns.yield_to_others()
    _refuse_what_is_named_twice(errors, read)
    errors.raise_any()
    wanted = []
    for make, members in filter(None, read):
        wanted.append(make(members))
        await turns.yield_to_others()
    return wanted


def results(wanted: Iterable[Command], done: Iterable[Shown | None]) -> bytes:
    """Write what became of each operation, in the order in which they were asked for."""
    return b'{"results":[%s]}' % b",".join(map(_result, wanted, done))


def _result(wanted: Command, task: Shown | None) -> bytes:
    if task is None:
        return b'{"status":204}'
    return b'{"status":%d,"task":%s}' % (201 if isinstance(wanted, NewTask) else 200, task.json)


def _is_too_large(operation: Any) -> bool:
    """Tell it by another form than JSON: to write numbers of many digits takes longer than to read them."""
    return len(marshal.dumps(operation)) > BODY_MAX


def _operations(value: object) -> list[object]:
    if not isinstance(value, list) or not 1 <= len(value) <= OPERATIONS_MAX:
        raise ValueError(f"must be an array of 1 to {OPERATIONS_MAX} operations")
    return value


def _read(errors: ErrorCollector, given: object, unsaid: Versions | None) -> Made | None:
    if not isinstance(given, dict):
        errors.add("", f"must be an object, not {kind(given)}")
        return None
    op = given.get("op")
    if not isinstance(op, str) or op not in _KINDS:
        errors.add("/op", f"must be one of {', '.join(_KINDS)}")
        return None
    make, fields, needed = _KINDS[op]
    said = {name: value for name, value in given.items() if name != "op"}
    members = errors.members_of(said, fields, empty=CLEARED if op == "update" else None)
    if needed not in members and not errors.has(f"/{needed}"):
        errors.add(f"/{needed}", "must be given")
    errors.rules(members)
    if "if_match" in fields:
        members.setdefault("if_match", unsaid)
    return make, members


def _refuse_what_is_named_twice(errors: ErrorCollector, read: Iterable[Made | None]) -> None:
    first: dict[TaskId, int] = {}
    for number, made in enumerate(read):
        task_id = made and made[1].get("id")
        if task_id and (same := first.setdefault(task_id, number)) != number:
            errors.add(f"/operations/{number}/id", f"is named by /operations/{same} as well")


def _versions(value: object) -> Versions | None:
    if not isinstance(value, str):
        raise ValueError(f'must be a string like "\\"3\\"", not {kind(value)}')  # noqa: TRY004 - what readers raise
    if len(value) > IF_MATCH_MAX:
        raise ValueError(f"must have at most {IF_MATCH_MAX} characters")
    return read_versions(value)


def _change(members: Members) -> Change:
    task_id, if_match = members.pop("id"), members.pop("if_match")
    return Change(task_id, TaskChanges(**members), if_match)


def _completion(members: Members) -> Change:
    return _change({"completed": True, **members})


_NAMED: Final[Mapping[str, FieldReader]] = {"id": read_id, "if_match": _versions}
_KINDS: Final[Mapping[str, tuple[Callable[[Members], Command], Mapping[str, FieldReader], str]]] = {
    "create": (lambda members: NewTask(**members), FIELDS, "title"),
    "update": (_change, {**_NAMED, **FIELDS}, "id"),
    "complete": (_completion, {**_NAMED, "completed": FIELDS["completed"]}, "id"),
    "delete": (lambda members: Trash(members["id"], members["if_match"]), _NAMED, "id"),
    "restore": (lambda members: Restore(members["id"], members["if_match"]), _NAMED, "id"),
}
