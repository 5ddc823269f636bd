"""The fields of a task in JSON. Bodies, batches and the OpenAPI document use the same descriptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from litestar.openapi.spec import Reference, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from app.api.requests.hints import hint
from app.api.requests.validation import (
    FieldReader,
    ItemError,
    kind,
    read_boolean,
    read_text,
    read_text_or_null,
)
from app.domain.due import NO_DATE_OR_TIME, YEAR_MAX, YEAR_MIN, Due
from app.domain.position import POSITION_MAX
from app.domain.tags import TAG_MAX, TAGS_MAX
from app.domain.task import DESCRIPTION_MAX, TITLE_MAX, Priority

STRING, NULL = OpenAPIType.STRING, OpenAPIType.NULL
PRIORITIES: Final = {priority.name.lower(): priority for priority in Priority}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskField:
    """One field of a task."""

    type: Schema | Reference
    examples: Sequence[Any]
    read: FieldReader | None = None  # None: only the server sets it
    cleared: Any = None  # the value that null sets in a patch, if the field itself is never null

    @property
    def schema(self) -> Schema | Reference:
        """Its schema in bodies and responses; with examples if clients can set the field."""
        if self.read is None or isinstance(self.type, Reference):
            return self.type
        return replace(self.type, examples=[*self.examples])

    @property
    def patch_schema(self) -> Schema | Reference:
        """Its schema in a patch: with null if null clears it."""
        schema = self.schema
        if self.cleared is None:
            return schema
        if isinstance(schema, Schema) and isinstance(schema.type, OpenAPIType):
            return replace(schema, type=[schema.type, NULL])
        return Schema(one_of=[schema, Schema(type=NULL)])

    @property
    def is_clearable(self) -> bool:
        """Whether null in a patch clears it."""
        return self.cleared is not None or (isinstance(self.type, Schema) and NULL in (self.type.type or ()))


def read_priority(value: object) -> Priority:
    """Read the name of a priority."""
    if not isinstance(value, str) or value not in PRIORITIES:
        near = hint(value, PRIORITIES, {}) if isinstance(value, str) else ""
        raise ValueError(f"must be one of {', '.join(PRIORITIES)}{near}")
    return PRIORITIES[value]


def _read_due(value: object) -> Due | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(NO_DATE_OR_TIME)  # noqa: TRY004 - field readers raise ValueError
    if not value:  # a form sends an empty field like this
        raise ValueError(f"{NO_DATE_OR_TIME}; null means no due date")
    return Due.parse(value)


def _read_tags(value: object) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"must be an array of strings, not {kind(value)}")  # noqa: TRY004 - field readers raise ValueError
    for place, item in enumerate(value):
        if not isinstance(item, str):
            raise ItemError(place, f"must be a string, not {kind(item)}")
    return value


def _moment(description: str) -> Schema:
    return Schema(type=STRING, format=OpenAPIFormat.DATE_TIME, description=description)


def _moment_or_null(description: str) -> Schema:
    return Schema(one_of=[_moment("RFC 3339, UTC"), Schema(type=NULL)], description=description)


TASK_FIELDS: Final[Mapping[str, TaskField]] = {
    "id": TaskField(
        type=Schema(
            type=STRING, format=OpenAPIFormat.UUID, description="UUID version 7; later tasks have greater ids"
        ),
        examples=["019a8f3e-5c00-7b1c-8c5e-2f6d1a9b4e70"],
    ),
    "user_id": TaskField(
        type=Schema(type=STRING, max_length=255, description="The owner: the subject of the token"),
        examples=["Zl4uT9cWq2vXn7RbYs1KdP0aHf6MgJ3e"],
    ),
    "title": TaskField(
        read=read_text,
        type=Schema(
            type=STRING,
            min_length=1,
            max_length=TITLE_MAX,
            description="It is trimmed, and must not be blank",
        ),
        examples=["Water the plants"],
    ),
    "description": TaskField(
        read=read_text_or_null,
        type=Schema(type=[STRING, NULL], max_length=DESCRIPTION_MAX),
        examples=["The fern too"],
    ),
    "completed": TaskField(read=read_boolean, type=Schema(type=OpenAPIType.BOOLEAN), examples=[False]),
    "due": TaskField(
        read=_read_due,
        type=Schema(
            type=[STRING, NULL],
            description="A date (RFC 3339 full-date), returned as a date, or a date-time with an offset,"
            f" returned in UTC. The years {YEAR_MIN} to {YEAR_MAX}, in UTC",
        ),
        examples=["2026-01-09", "2026-01-09T17:00:00+01:00"],
    ),
    "priority": TaskField(
        read=read_priority,
        type=Reference("#/components/schemas/Priority"),
        examples=["medium"],
        cleared=Priority.NONE,
    ),
    "tags": TaskField(
        read=_read_tags,
        type=Schema(
            type=OpenAPIType.ARRAY,
            items=Schema(type=STRING, min_length=1, max_length=TAG_MAX),
            max_items=TAGS_MAX,
            description="Tags are trimmed and keep their order. Two that differ only in case are an error",
        ),
        examples=[["home", "Garden"]],
        cleared=[],
    ),
    "position": TaskField(
        type=Schema(
            type=STRING,
            max_length=POSITION_MAX,
            description="The place in the manual order: sort by code point",
        ),
        examples=["f9b82c1f6a4c85kQ3x"],
    ),
    "version": TaskField(
        type=Schema(
            type=OpenAPIType.INTEGER,
            minimum=1,
            description='Grows with each change; its ETag is `"<version>"`',
        ),
        examples=[1],
    ),
    "created_at": TaskField(type=_moment("RFC 3339, UTC"), examples=["2026-01-05T08:30:00.123456Z"]),
    "updated_at": TaskField(type=_moment("RFC 3339, UTC"), examples=["2026-01-05T08:30:00.123456Z"]),
    "completed_at": TaskField(
        type=_moment_or_null("When it was completed; null if it is open"), examples=[None]
    ),
    "trashed_at": TaskField(
        type=_moment_or_null("When it was moved to the trash; null if it is not in the trash"),
        examples=[None],
    ),
}
"""In the order of a task's JSON, which `app.infra.statements.task_json` writes."""

READERS: Final[Mapping[str, FieldReader]] = {
    name: field.read for name, field in TASK_FIELDS.items() if field.read is not None
}
"""The readers of the fields that clients set."""

CLEARED: Final[Mapping[str, object]] = {
    name: field.cleared for name, field in TASK_FIELDS.items() if field.cleared is not None
}
"""The values that null sets in a patch, of the fields that are never null."""
