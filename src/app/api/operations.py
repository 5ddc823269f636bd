"""What the OpenAPI document says of each operation, beside what Litestar reads off its handler.

Bodies and queries are read by `app.api.reading`, more strictly than a framework would, so they are
described here; limits come from the domain, so that they cannot drift.
"""

from dataclasses import dataclass
from typing import Any, Final

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from app.api import examples
from app.api.faults import PRIORITIES, SERVERS_OWN
from app.api.keys import KEY_HEADER, KEY_MAX
from app.api.list_parameters import LIST_IF_NONE_MATCH, LIST_QUERY, TIME_ZONE
from app.api.negotiation import JSON, MERGE_PATCH
from app.api.problems import MEDIA_TYPE
from app.api.schemas import DUE, Problem
from app.domain.batch import OPERATIONS_MAX
from app.domain.tags import TAG_MAX, TAGS_MAX
from app.domain.task import DESCRIPTION_MAX, TITLE_MAX

IN_THE_PATH: Final = ("id", "user_id")
STRING, BOOLEAN = OpenAPIType.STRING, OpenAPIType.BOOLEAN
BEARER: Final = [{"bearer": list[str]()}]

_TITLE = Schema(
    type=STRING,
    min_length=1,
    max_length=TITLE_MAX,
    description="Trimmed; not blank",
    examples=["Water the plants"],
)
_DESCRIPTION = Schema(type=[STRING, OpenAPIType.NULL], max_length=DESCRIPTION_MAX, examples=["The fern too"])
_COMPLETED = Schema(type=BOOLEAN, examples=[False])
_DUE = Schema(
    type=[STRING, OpenAPIType.NULL], description=DUE, examples=["2026-01-09", "2026-01-09T17:00:00+01:00"]
)
_PRIORITY = Schema(type=STRING, enum=list(PRIORITIES), default="none")
_TAGS_OF: Final[dict[str, Any]] = {
    "type": OpenAPIType.ARRAY,
    "items": Schema(type=STRING, min_length=1, max_length=TAG_MAX),
    "max_items": TAGS_MAX,
    "description": "Trimmed; the same word twice is refused, whatever its case; their order is kept",
    "examples": [["home", "Garden"]],
}
_TAGS = Schema(**_TAGS_OF)
_ANOTHER = Schema(type=STRING, format=OpenAPIFormat.UUID, description="Another task of the list")
_FIELDS: Final[dict[str, Schema | Reference]] = {
    "title": _TITLE,
    "description": _DESCRIPTION,
    "completed": _COMPLETED,
    "due": _DUE,
    "priority": _PRIORITY,
    "tags": _TAGS,
}
_SERVERS: Final[dict[str, Schema | Reference]] = {
    name: Schema(
        description="May be sent back; "
        + ("400 if it contradicts the path" if name in IN_THE_PATH else "ignored")
    )
    for name in SERVERS_OWN
}
_OBJECT: Final[dict[str, Any]] = {"type": OpenAPIType.OBJECT, "additional_properties": False}
_PATCHED: Final[dict[str, Schema | Reference]] = {
    **_FIELDS,
    "priority": Schema(type=[STRING, OpenAPIType.NULL], enum=[*PRIORITIES, None]),
    "tags": Schema(**{**_TAGS_OF, "type": [OpenAPIType.ARRAY, OpenAPIType.NULL]}),
}


def _kind(
    op: str, says: str, properties: dict[str, Schema | Reference], *, needs: str = "id"
) -> Schema | Reference:
    """Return the shape of one kind of operation in a batch."""
    named: dict[str, Schema | Reference] = {
        "id": Schema(type=STRING, format=OpenAPIFormat.UUID, description="No other operation may name it"),
        "if_match": Schema(
            type=STRING,
            pattern=r'^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$',
            description="As the header `If-Match`",
            examples=['"3"'],
        ),
    }
    properties = properties if needs == "title" else {**named, **properties}
    properties = {"op": Schema(type=STRING, const=op), **properties}
    return Schema(**_OBJECT, title=op, description=says, properties=properties, required=["op", needs])


_OPERATIONS = Schema(
    type=OpenAPIType.ARRAY,
    min_items=1,
    max_items=OPERATIONS_MAX,
    items=Schema(
        one_of=[
            _kind("create", "As `createTask`", _FIELDS, needs="title"),
            _kind("update", "As `patchTask`", _PATCHED),
            _kind(
                "complete",
                "As `completeTask` with a body, which is `true` if not said",
                {"completed": Schema(type=BOOLEAN, default=True)},
            ),
            _kind("delete", "As `deleteTask`: to the trash", {}),
            _kind("restore", "As `restoreTask`", {}),
        ]
    ),
)
BODIES: Final[dict[str, Schema]] = {
    "NewTask": Schema(**_OBJECT, properties=_FIELDS, required=["title"]),
    "TaskUpdate": Schema(
        **_OBJECT, properties={**_FIELDS, **_SERVERS}, description="What is not sent keeps its value"
    ),
    "TaskPatch": Schema(
        **_OBJECT,
        properties=_PATCHED,
        description="JSON Merge Patch (RFC 7396): null empties description, due, priority and tags",
    ),
    "Move": Schema(
        **_OBJECT,
        properties={"before": _ANOTHER, "after": _ANOTHER},
        min_properties=1,
        max_properties=1,
    ),
    "Completion": Schema(**_OBJECT, properties={"completed": _COMPLETED}, required=["completed"]),
    "Batch": Schema(**_OBJECT, properties={"operations": _OPERATIONS}, required=["operations"]),
}

_USER_ID = Parameter(
    name="user_id",
    param_in="path",
    required=True,
    schema=Schema(type=STRING, min_length=1, max_length=255),
    description="The subject of the token, percent-encoded, or `me`",
    example="me",
)
_TASK_ID = Parameter(
    name="task_id", param_in="path", required=True, schema=Schema(type=STRING, format=OpenAPIFormat.UUID)
)
_IF_MATCH = Parameter(
    name="If-Match",
    param_in="header",
    schema=Schema(type=STRING),
    description="Write only if the task has one of these ETags; `*`: any",
    example='"3"',
)
_IF_NONE_MATCH = Parameter(
    name="If-None-Match",
    param_in="header",
    schema=Schema(type=STRING),
    description="Answer 304 if the task has one of these ETags",
    example='"3"',
)
_PERMANENT = Parameter(
    name="permanent",
    param_in="query",
    schema=Schema(type=BOOLEAN, default=False),
    description="Delete for good, from the trash or not",
    example=True,
)
_KEY = Parameter(
    name=KEY_HEADER,
    param_in="header",
    schema=Schema(type=STRING, min_length=1, max_length=KEY_MAX + 2),
    description="Makes the request safe to repeat for 24 hours: sent again under its key, it is answered as"
    " the first time. Quoted (draft-ietf-httpapi-idempotency-key-header) or bare. A refusal is not kept",
    example='"8e03978e-40d5-43dd-bc93-6894a57f9324"',
)
_REPLAYED: Final = {"Idempotency-Replayed": "`true` where the answer is that of an earlier request"}


def _operation(  # noqa: PLR0913 - keywords, each read at its one call
    name: str,
    *,
    parameters: tuple[Parameter, ...] = (),
    body: str = "",
    body_required: bool = True,
    media_types: tuple[str, ...] = (JSON,),
    errors: tuple[int, ...] = (),
    headers: dict[str, str] | None = None,
    not_modified: bool = False,
    **handler: Any,
) -> dict[str, Any]:
    """Return the keyword arguments of a handler's decorator."""

    @dataclass
    class Described(Operation):
        """An operation whose parameters, bodies, answers and examples are said here."""

        def __post_init__(self) -> None:
            self.parameters = [_with_example(parameter) for parameter in parameters] or None
            if body:
                media = OpenAPIMediaType(
                    schema=Reference(f"#/components/schemas/{body}"), examples=_named(examples.BODIES[name])
                )
                self.request_body = RequestBody(
                    content=dict.fromkeys(media_types, media), required=body_required
                )
            for status, answer in (self.responses or {}).items():
                if isinstance(answer, Reference) or not status.startswith("2"):
                    continue
                for media in (answer.content or {}).values():
                    media.examples = _named({"example": examples.ANSWERS[name, int(status)]})
                for header, says in (headers or {}).items():
                    answer.headers = {
                        **(answer.headers or {}),
                        header: OpenAPIHeader(schema=Schema(type=STRING), description=says),
                    }
            if not_modified:
                self.responses = {
                    **(self.responses or {}),
                    "304": OpenAPIResponse(description="Not modified"),
                }
            self.responses = {**(self.responses or {}), **{str(status): _error(status) for status in errors}}

    Described.__name__ = f"{name}Operation"
    if errors:  # makes Litestar put the shape of a problem among the components
        handler["responses"] = {errors[0]: ResponseSpec(Problem, generate_examples=False)}
    return {"operation_id": name, "operation_class": Described, **handler}


def _error(status: int) -> OpenAPIResponse:
    says, problems, headers = examples.ERRORS[status]
    return OpenAPIResponse(
        description=says,
        headers={
            name: OpenAPIHeader(schema=Schema(type=STRING), description=text)
            for name, text in headers.items()
        }
        or None,
        content={
            MEDIA_TYPE: OpenAPIMediaType(
                schema=Reference("#/components/schemas/Problem"), examples=_named(problems)
            )
        },
    )


def _named(values: dict[str, Any]) -> dict[str, Example | Reference]:
    return {name: Example(value=value) for name, value in values.items()}


def _with_example(parameter: Parameter) -> Parameter:
    if parameter is _TASK_ID:
        parameter.example = examples.TASK["id"]
    return parameter


_OWNED: Final = (401, 403)
_READ: Final = (*_OWNED, 400)
_ONE: Final = (*_READ, 404)
_WRITTEN: Final = (*_ONE, 412, 428)
_ETAG: Final = {"ETag": 'The task\'s version: `"3"`'}
_SENT: Final = (406, 413, 415)
_ALWAYS: Final = (500, 503)

LIST: Final = _operation(
    "listTasks",
    parameters=(_USER_ID, *LIST_QUERY, LIST_IF_NONE_MATCH),
    errors=(*_READ, *_ALWAYS),
    headers={
        "Link": 'The next page, if there is one: `<…>; rel="next"` (RFC 8288)',
        "ETag": "Another after each change of this person's tasks",
    },
    not_modified=True,
    summary="List tasks",
    description="A page of tasks that meet every condition; unless asked, newest first, without the trash. "
    'Follow `Link` with `rel="next"` until there is none: whatever changes meanwhile, no task that stands '
    "still is missed or met twice.",
    security=BEARER,
)
SUMMARY: Final = _operation(
    "summarizeTasks",
    parameters=(_USER_ID, TIME_ZONE),
    errors=(*_READ, *_ALWAYS),
    summary="Count tasks",
    description="How many are open, done, overdue, due today, and of each tag. The trash does not count.",
    security=BEARER,
)
CREATE: Final = _operation(
    "createTask",
    parameters=(_USER_ID, _KEY),
    body="NewTask",
    errors=(*_READ, 409, *_SENT, 422, *_ALWAYS),
    headers={"Location": "Where the task is", **_ETAG, **_REPLAYED},
    summary="Create a task",
    security=BEARER,
)
BATCH: Final = _operation(
    "batchTasks",
    parameters=(_USER_ID, _KEY),
    body="Batch",
    errors=(*_READ, 404, 409, 412, *_SENT, 422, 428, *_ALWAYS),
    headers=_REPLAYED,
    summary="Do many things at once",
    description="All of it is done, or none: `errors` then points at the operation that was refused. A body"
    " may have 2 MB, each operation 256 KB.",
    security=BEARER,
)
READ: Final = _operation(
    "getTask",
    parameters=(_USER_ID, _TASK_ID, _IF_NONE_MATCH),
    errors=(*_ONE, *_ALWAYS),
    headers=_ETAG,
    not_modified=True,
    summary="Read a task",
    security=BEARER,
)
UPDATE: Final = _operation(
    "updateTask",
    parameters=(_USER_ID, _TASK_ID, _IF_MATCH),
    body="TaskUpdate",
    errors=(*_WRITTEN, *_SENT, *_ALWAYS),
    headers=_ETAG,
    summary="Update a task",
    description="What is not sent keeps its value. The whole task, as it was read, may be sent back.",
    security=BEARER,
)
PATCH: Final = _operation(
    "patchTask",
    parameters=(_USER_ID, _TASK_ID, _IF_MATCH),
    body="TaskPatch",
    media_types=(MERGE_PATCH, JSON),
    errors=(*_WRITTEN, *_SENT, *_ALWAYS),
    headers=_ETAG,
    summary="Change some fields of a task",
    description="JSON Merge Patch (RFC 7396). What changes nothing leaves even the version as it is.",
    security=BEARER,
)
RESTORE: Final = _operation(
    "restoreTask",
    parameters=(_USER_ID, _TASK_ID, _IF_MATCH),
    errors=(*_WRITTEN, 409, *_ALWAYS),
    headers=_ETAG,
    summary="Take a task out of the trash",
    status_code=200,
    security=BEARER,
)
MOVE: Final = _operation(
    "moveTask",
    parameters=(_USER_ID, _TASK_ID, _IF_MATCH),
    body="Move",
    errors=(*_WRITTEN, *_SENT, *_ALWAYS),
    headers=_ETAG,
    summary="Move a task in one's own order",
    description="Right before or after another task of the list, in the order of `position`.",
    status_code=200,
    security=BEARER,
)
DELETE: Final = _operation(
    "deleteTask",
    parameters=(_USER_ID, _TASK_ID, _PERMANENT, _IF_MATCH),
    errors=(*_WRITTEN, *_ALWAYS),
    summary="Delete a task",
    description="Moves it to the trash, out of which it can be restored; with `permanent=true` it is gone.",
    security=BEARER,
)
COMPLETE: Final = _operation(
    "completeTask",
    parameters=(_USER_ID, _TASK_ID, _IF_MATCH, _KEY),
    body="Completion",
    body_required=False,
    errors=(*_WRITTEN, 409, *_SENT, 422, *_ALWAYS),
    headers={**_ETAG, **_REPLAYED},
    summary="Complete or reopen a task",
    description="Without a body: toggled, atomically, and safe to repeat with an Idempotency-Key only. With a"
    " body: set, safe to repeat.",
    security=BEARER,
)
HEALTH: Final = _operation("health", summary="Does the process answer?", tags=["Health"])
READY: Final = _operation(
    "ready",
    summary="Can requests be served?",
    description="503 while a part is unavailable.",
    tags=["Health"],
)
