"""Shapes of JSON on the wire. The rules are in `app.domain`."""

from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from litestar.params import ParameterKwarg
from msgspec import Meta, Struct

from app.domain import task as domain
from app.domain.position import POSITION_MAX
from app.domain.tags import TAG_MAX, TAGS_MAX

DUE: Final = "A date (RFC 3339 full-date), returned as a date, or a date-time with an offset, returned in UTC"
PriorityName = Literal["none", "low", "medium", "high"]
Moment = Annotated[str, ParameterKwarg(description="RFC 3339, UTC", schema_extra={"format": "date-time"})]


class Task(Struct, frozen=True):
    """A task. PostgreSQL writes its JSON (`app.infra.statements`); this shape is for the OpenAPI document."""

    id: Annotated[UUID, Meta(description="UUID version 7; later tasks have greater ids")]
    user_id: Annotated[str, Meta(description="The owner: the subject of the token", max_length=255)]
    title: Annotated[str, Meta(min_length=1, max_length=domain.TITLE_MAX)]
    description: Annotated[str, Meta(max_length=domain.DESCRIPTION_MAX)] | None
    completed: bool
    due: Annotated[str, Meta(description=DUE)] | None
    priority: PriorityName
    tags: Annotated[list[Annotated[str, Meta(min_length=1, max_length=TAG_MAX)]], Meta(max_length=TAGS_MAX)]
    position: Annotated[
        str,
        Meta(
            description="The place in the manual order: sort by code point",
            max_length=POSITION_MAX,
        ),
    ]
    version: Annotated[int, Meta(description='Grows with each change; its ETag is `"<version>"`', ge=1)]
    created_at: Moment
    updated_at: Moment
    completed_at: Annotated[Moment | None, Meta(description="When it was completed; null if it is open")]
    trashed_at: Annotated[
        Moment | None, Meta(description="When it was moved to the trash; null if it is not in the trash")
    ]


class BatchResult(Struct, frozen=True, omit_defaults=True):
    """The result of one operation in a batch."""

    status: Annotated[
        int, Meta(description="201: created; 200: changed, see `task`; 204: moved to the trash")
    ]
    task: Annotated[Task | None, Meta(description="Absent for a task that was moved to the trash")] = None


class BatchResults(Struct, frozen=True):
    """The results of a batch. A batch succeeds as a whole."""

    results: Annotated[list[BatchResult], Meta(description="In the order of the operations")]


Count = Annotated[int, Meta(ge=0)]


class TagCount(Struct, frozen=True):
    """The number of tasks with a tag, ignoring case."""

    tag: Annotated[str, Meta(description="In one of its spellings", max_length=TAG_MAX)]
    open: Count
    done: Count


class Summary(Struct, frozen=True):
    """The number of tasks, without the trash."""

    open: Count
    done: Count
    overdue: Annotated[
        int, Meta(ge=0, description="Open, and due before now, or before today if due on a date")
    ]
    due_today: Annotated[int, Meta(ge=0, description="Open, and due today, even if its time has passed")]
    tags: list[TagCount]


class Fault(Struct, frozen=True, omit_defaults=True):
    """A validation error, and its place in the request."""

    pointer: Annotated[str, Meta(description="RFC 6901, into the body; `/<name>` for a parameter or header")]
    detail: str
    in_: Annotated[str, Meta(description="`query`, `path` or `header`; absent for the body")] = msgspec.field(
        default="body", name="in"
    )


class Problem(Struct, frozen=True, omit_defaults=True):
    """An error (RFC 9457). Branch on `type` or `status`; `detail` is for people."""

    type: Annotated[
        str,
        Meta(
            description="The URL of a page about this type of problem. To compare, use what follows the "
            "last `/`"
        ),
    ]
    title: str
    status: int
    detail: str
    instance: Annotated[str, Meta(description="The path of the request")]
    request_id: Annotated[str, Meta(description="The same as the header X-Request-ID")]
    errors: Annotated[tuple[Fault, ...], Meta(description="The validation errors of the request")] = ()


encode: Final = msgspec.json.Encoder().encode
