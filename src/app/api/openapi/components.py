"""Named schemas of the OpenAPI document, with the limits of the domain."""

from typing import Any, Final

from litestar.openapi.spec import Reference, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from app.api.requests.list_query import SORTS
from app.api.task_fields import PRIORITIES, READERS, TASK_FIELDS
from app.domain.commands import OPERATIONS_MAX

IN_PATH: Final = ("id", "user_id")
STRING: Final = OpenAPIType.STRING

Properties = dict[str, Schema | Reference]

_ANOTHER = Schema(type=STRING, format=OpenAPIFormat.UUID, description="Another task of the list")
_FIELDS: Final = {name: TASK_FIELDS[name].schema for name in READERS}
_PATCHED: Final = {name: TASK_FIELDS[name].patch_schema for name in READERS}
_READ_ONLY: Final[Properties] = {
    name: Schema(
        description="Read-only. A body may repeat it; "
        + ("a value that contradicts the path is refused with 400" if name in IN_PATH else "it is ignored")
    )
    for name in TASK_FIELDS
    if name not in READERS
}
*_CLEARABLE, _LAST_CLEARABLE = (name for name in READERS if TASK_FIELDS[name].is_clearable)
_OBJECT: Final[dict[str, Any]] = {"type": OpenAPIType.OBJECT, "additional_properties": False}


def _kind(op: str, description: str, properties: Properties, *, creates: bool = False) -> Schema:
    """Return the schema of one kind of operation in a batch."""
    of_a_task: Properties = {
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
    properties = {"op": Schema(type=STRING, const=op), **({} if creates else of_a_task), **properties}
    required = ["op", "title" if creates else "id"]
    return Schema(**_OBJECT, title=op, description=description, properties=properties, required=required)


_OPERATIONS = Schema(
    type=OpenAPIType.ARRAY,
    min_items=1,
    max_items=OPERATIONS_MAX,
    items=Schema(
        one_of=[
            _kind("create", "As `createTask`", _FIELDS, creates=True),
            _kind("update", "As `patchTask`", _PATCHED),
            _kind(
                "complete",
                "Sets `completed`, by default to true. Unlike `completeTask`, it never toggles",
                {"completed": _FIELDS["completed"]},
            ),
            _kind("delete", "As `deleteTask`: to the trash", {}),
            _kind("restore", "As `restoreTask`", {}),
        ]
    ),
)
COMPONENTS: Final[dict[str, Schema]] = {
    "Priority": Schema(type=STRING, enum=list(PRIORITIES)),
    "Sort": Schema(type=STRING, enum=list(SORTS), default="-created"),
    "Task": Schema(
        type=OpenAPIType.OBJECT,
        title="Task",
        properties={name: field.schema for name, field in TASK_FIELDS.items()},
        required=sorted(TASK_FIELDS),
    ),
    "TaskCreate": Schema(
        **_OBJECT,
        properties=_FIELDS,
        required=["title"],
        description="By default `completed` is false and `priority` is `none`",
    ),
    "TaskUpdate": Schema(
        **_OBJECT,
        properties={**_FIELDS, **_READ_ONLY},
        description="Fields that are not sent keep their values",
    ),
    "TaskPatch": Schema(
        **_OBJECT,
        properties=_PATCHED,
        description=f"JSON Merge Patch (RFC 7396): null clears {', '.join(_CLEARABLE)} and {_LAST_CLEARABLE}",
    ),
    "Move": Schema(
        **_OBJECT, properties={"before": _ANOTHER, "after": _ANOTHER}, min_properties=1, max_properties=1
    ),
    "Completion": Schema(**_OBJECT, properties={"completed": _FIELDS["completed"]}, required=["completed"]),
    "Batch": Schema(**_OBJECT, properties={"operations": _OPERATIONS}, required=["operations"]),
}
