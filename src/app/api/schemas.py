"""What travels on the wire. Shapes only: the rules are in `app.domain`."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar.params import ParameterKwarg
from msgspec import Meta, Struct

from app.domain import task as domain
from app.domain.identity import UserId

Moment = Annotated[str, ParameterKwarg(description="RFC 3339, UTC", schema_extra={"format": "date-time"})]


def moment(at: datetime) -> str:
    """Write an aware moment in UTC, always to the microsecond, so that texts sort as moments do."""
    return at.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


class Task(Struct, frozen=True):
    """A task."""

    id: Annotated[UUID, Meta(description="UUID version 7; later tasks have greater ids")]
    user_id: Annotated[str, Meta(description="Whose it is: the subject of the token", max_length=255)]
    title: Annotated[str, Meta(min_length=1, max_length=domain.TITLE_MAX)]
    description: Annotated[str, Meta(max_length=domain.DESCRIPTION_MAX)] | None
    completed: bool
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, task: domain.Task, owner: UserId) -> "Task":
        """Write a task for the wire."""
        return cls(
            task.id,
            owner,
            task.title,
            task.description,
            task.completed,
            moment(task.created_at),
            moment(task.updated_at),
        )


class Fault(Struct, frozen=True, omit_defaults=True):
    """One thing wrong with a request, and where."""

    pointer: Annotated[str, Meta(description="RFC 6901, into the body; `/<name>` for a parameter")]
    detail: str
    in_: Annotated[str, Meta(description="`query` or `path`; not said for the body")] = msgspec.field(
        default="body", name="in"
    )


class Problem(Struct, frozen=True, omit_defaults=True):
    """An error (RFC 9457). Branch on `type` or `status`; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    instance: Annotated[str, Meta(description="The path that was asked for")]
    request_id: Annotated[str, Meta(description="The same as the header X-Request-ID")]
    errors: Annotated[tuple[Fault, ...], Meta(description="What is wrong with the request")] = ()


encode: Final = msgspec.json.Encoder().encode
