"""Schemas of request bodies in the OpenAPI document, with the limits of the domain."""

from typing import Any, Final

from litestar.openapi.spec import Reference, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from app.api.requests.list_query import SORTS
from app.api.requests.validation import PRIORITIES, SERVERS_OWN
from app.api.schemas import DUE
from app.domain.commands import OPERATIONS_MAX
from app.domain.tags import TAG_MAX, TAGS_MAX
from app.domain.task import DESCRIPTION_MAX, TITLE_MAX

IN_THE_PATH: Final = ("id", "user_id")
STRING, BOOLEAN = OpenAPIType.STRING, OpenAPIType.BOOLEAN
PRIORITY: Final = Reference("#/components/schemas/Priority")

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
_TAGS_OF: Final[dict[str, Any]] = {
    "type": OpenAPIType.ARRAY,
    "items": Schema(type=STRING, min_length=1, max_length=TAG_MAX),
    "max_items": TAGS_MAX,
    "description": "Trimmed; no tag twice, ignoring case; the order is kept",
    "examples": [["home", "Garden"]],
}
_TAGS = Schema(**_TAGS_OF)
_ANOTHER = Schema(type=STRING, format=OpenAPIFormat.UUID, description="Another task of the list")
_FIELDS: Final[dict[str, Schema | Reference]] = {
    "title": _TITLE,
    "description": _DESCRIPTION,
    "completed": _COMPLETED,
    "due": _DUE,
    "priority": PRIORITY,
    "tags": _TAGS,
}
_SERVERS: Final[dict[str, Schema | Reference]] = {
    name: Schema(
        description="Read-only, and accepted; "
        + ("400 if it contradicts the path" if name in IN_THE_PATH else "ignored")
    )
    for name in SERVERS_OWN
}
_OBJECT: Final[dict[str, Any]] = {"type": OpenAPIType.OBJECT, "additional_properties": False}
_PATCHED: Final[dict[str, Schema | Reference]] = {
    **_FIELDS,
    "priority": Schema(one_of=[PRIORITY, Schema(type=OpenAPIType.NULL)]),
    "tags": Schema(**{**_TAGS_OF, "type": [OpenAPIType.ARRAY, OpenAPIType.NULL]}),
}


def _kind(
    op: str, says: str, properties: dict[str, Schema | Reference], *, needs: str = "id"
) -> Schema | Reference:
    """Return the schema of one kind of operation in a batch."""
    named: dict[str, Schema | Reference] = {
        "id": Schema(
            type=STRING,
            format=OpenAPIFormat.UUID,
            description="No other operation of the batch may have the same id",
        ),
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
                "As `completeTask` with a body; without `completed` it completes",
                {"completed": Schema(type=BOOLEAN)},
            ),
            _kind("delete", "As `deleteTask`: to the trash", {}),
            _kind("restore", "As `restoreTask`", {}),
        ]
    ),
)
COMPONENTS: Final[dict[str, Schema]] = {
    "Priority": Schema(type=STRING, enum=list(PRIORITIES)),
    "Sort": Schema(type=STRING, enum=list(SORTS), default="-created"),
    "TaskCreate": Schema(
        **_OBJECT,
        properties=_FIELDS,
        required=["title"],
        description="By default `completed` is false and `priority` is `none`",
    ),
    "TaskUpdate": Schema(
        **_OBJECT,
        properties={**_FIELDS, **_SERVERS},
        description="Fields that are not sent keep their values",
    ),
    "TaskPatch": Schema(
        **_OBJECT,
        properties=_PATCHED,
        description="JSON Merge Patch (RFC 7396): null clears description, due, priority and tags",
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
