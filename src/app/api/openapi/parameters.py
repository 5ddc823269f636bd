"""Query and header parameters in the OpenAPI document, mostly of the list."""

from typing import Any, Final

from litestar.openapi.spec import Parameter, Reference, Schema
from litestar.openapi.spec.enums import OpenAPIType

from app.api.requests.cursors import CURSOR_MAX
from app.api.requests.list_query import UTC
from app.domain.tags import TAG_MAX, TAGS_MAX
from app.domain.task_list import PAGE_DEFAULT, PAGE_MAX, SEARCH_MAX, SEARCH_WORD_MAX, SEARCH_WORDS_MAX

_STRING, _BOOLEAN = OpenAPIType.STRING, OpenAPIType.BOOLEAN
_MOMENT: Final = (
    "A date, which counts as its start in UTC, or a date-time with its offset (in a query `+` is `%2B`)"
)


def _query(name: str, description: str, **schema: Any) -> Parameter:
    # No `example`: Swagger UI fills in examples, and the request would then have every filter set.
    return Parameter(name=name, param_in="query", schema=Schema(**schema), description=description)


LIST_QUERY: Final = (
    Parameter(
        name="sort",
        param_in="query",
        schema=Reference("#/components/schemas/Sort"),
        description="The order; `-`: descending. Tasks without a due date come last in both directions; "
        "among equals the id decides",
    ),
    _query("completed", "Only those that are, or are not", type=_BOOLEAN),
    Parameter(
        name="priority",
        param_in="query",
        schema=Reference("#/components/schemas/Priority"),
        description="Only those of this priority",
    ),
    Parameter(
        name="tag",
        param_in="query",
        schema=Schema(
            type=OpenAPIType.ARRAY,
            items=Schema(type=_STRING, min_length=1, max_length=TAG_MAX),
            max_items=TAGS_MAX,
        ),
        style="form",
        explode=True,
        description="Only those with this tag, whatever its case; repeated: with all of them",
    ),
    _query("due", "`none`: only those without a due date", type=_STRING, enum=["none"]),
    _query("due_before", f"Only those due earlier. {_MOMENT}: `2026-02-01`", type=_STRING, max_length=35),
    _query(
        "due_after",
        f"Only those due later. {_MOMENT}: `2026-01-31T17:00:00Z`",
        type=_STRING,
        max_length=35,
    ),
    _query(
        "updated_since",
        f"Only those changed then or later. {_MOMENT}: `2026-01-05T08:30:00Z`",
        type=_STRING,
        max_length=35,
    ),
    _query(
        "q",
        "Only those with all these words in title and description, in any order; the last may be the "
        "beginning of one: `water pla`. Case and punctuation do not count, and there is no syntax. At most "
        f"{SEARCH_WORDS_MAX} words of at most {SEARCH_WORD_MAX} characters; "
        "a text without any word, as `?!`, is looked for as it stands",
        type=_STRING,
        min_length=1,
        max_length=SEARCH_MAX,
    ),
    _query("trashed", "`true`: those in the trash, and no others", type=_BOOLEAN, default=False),
    _query(
        "limit",
        "How many tasks at most. A page of more than 1 MB ends earlier; `Link` leads on",
        type=OpenAPIType.INTEGER,
        minimum=1,
        maximum=PAGE_MAX,
        default=PAGE_DEFAULT,
    ),
    _query(
        "cursor",
        'Where the page begins: taken from `Link` with `rel="next"`, never made. It belongs to the '
        "parameters that it was given out for: with others, but for `limit`, it is 400",
        type=_STRING,
        pattern=f"^[A-Za-z0-9_-]{{40,{CURSOR_MAX}}}$",
    ),
)
TIME_ZONE: Final = _query(
    "tz",
    "Where the person is: the name of a zone in the IANA time zone database, as `Europe/Berlin`",
    type=_STRING,
    max_length=64,
    default=UTC,
)
LIST_IF_NONE_MATCH: Final = Parameter(
    name="If-None-Match",
    param_in="header",
    schema=Schema(type=_STRING),
    description="Answer 304 if nothing of this person's has changed since one of these ETags was given",
)
