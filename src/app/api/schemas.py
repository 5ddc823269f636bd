"""The JSON objects in responses. `app.domain` has the rules of their values."""

from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from app.domain.summary import SUMMARY_TAGS_MAX
from app.domain.tags import TAG_MAX


class Task(Struct, frozen=True):
    """A task. PostgreSQL writes its JSON. `app.api.task_fields` describes the members for OpenAPI."""


class BatchResult(Struct, frozen=True, omit_defaults=True):
    """The result of one operation in a batch."""

    status: Annotated[
        int, Meta(description="201: created; 200: changed, see `task`; 204: moved to the trash")
    ]
    task: Annotated[Task | None, Meta(description="Absent for a task that was moved to the trash")] = None


class BatchResults(Struct, frozen=True):
    """The results of a batch. A batch succeeds as a whole."""

    results: Annotated[list[BatchResult], Meta(description="In the order of the operations")]


class Change(Struct, frozen=True):
    """A task that was written or deleted."""

    id: Annotated[UUID, Meta(description="The id of the task")]
    task: Annotated[
        Task | None, Meta(description="As it is now, also in the trash; null: deleted permanently")
    ]


class Changes(Struct, frozen=True):
    """A page of changes. PostgreSQL writes the JSON of `changes`."""

    changes: Annotated[list[Change], Meta(description="In the order in which they were committed")]
    next: Annotated[str, Meta(description="The `since` of the next request. Keep it with your copy")]
    more: Annotated[bool, Meta(description="Whether there are more changes now")]


def encode_changes(changes: bytes, token: str, *, more: bool) -> bytes:
    """Return a page of changes as JSON."""
    return b'{"changes":%b,"next":"%b","more":%b}' % (changes, token.encode(), b"true" if more else b"false")


Count = Annotated[int, Meta(ge=0)]


class TagCount(Struct, frozen=True):
    """The number of tasks with a tag, ignoring case."""

    tag: Annotated[
        str, Meta(description="The tag, in one of the spellings that the person used", max_length=TAG_MAX)
    ]
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
    tags: Annotated[
        list[TagCount],
        Meta(
            max_length=SUMMARY_TAGS_MAX,
            description="Sorted by tag. If there are too many tags, only those with the most open tasks are "
            "listed (of equal ones, those with the most tasks)",
        ),
    ]
    tags_left_out: Annotated[int, Meta(ge=0, description="The number of tags that are not in `tags`")]


class FieldError(Struct, frozen=True, omit_defaults=True):
    """A validation error, and its place in the request."""

    pointer: Annotated[
        str, Meta(description="A JSON Pointer (RFC 6901) into the body; `/<name>` for a parameter or header")
    ]
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
    errors: Annotated[tuple[FieldError, ...], Meta(description="The validation errors of the request")] = ()


encode: Final = msgspec.json.Encoder().encode
