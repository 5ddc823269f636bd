"""Query and header parameters in the OpenAPI document, mostly of the list."""

from typing import Any, Final

from litestar.openapi.spec import Parameter, Reference, Schema
from litestar.openapi.spec.enums import OpenAPIType

from app.api.requests.cursors import CURSOR_MAX, TOKEN_LENGTH
from app.api.requests.list_query import UTC
from app.domain.changes import CHANGES_MAX
from app.domain.tags import TAG_MAX, TAGS_MAX
from app.domain.task_list import PAGE_DEFAULT, PAGE_MAX, SEARCH_MAX, SEARCH_WORD_MAX, SEARCH_WORDS_MAX

STRING, BOOLEAN = OpenAPIType.STRING, OpenAPIType.BOOLEAN
_TOKEN: Final = f"[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}"
_MOMENT: Final = (
    "The value is a date (00:00 UTC of that day) or a date-time with an offset; write `+` as `%2B`. Example"
)


def query(name: str, description: str, *, component: str = "", **schema: Any) -> Parameter:
    """Return a parameter of the query. Its schema is a component, or has these fields."""
    # No `example`: Swagger UI fills in examples, and the request would then have every filter set.
    described = Reference(f"#/components/schemas/{component}") if component else Schema(**schema)
    return Parameter(name=name, param_in="query", schema=described, description=description)


def header(name: str, description: str, **schema: Any) -> Parameter:
    """Return a parameter that is a header."""
    described = Schema(type=STRING, **schema)
    return Parameter(name=name, param_in="header", schema=described, description=description)


LIST_QUERY: Final = (
    query(
        "sort",
        "The order; `-` means descending. Tasks without a due date come last in both directions. "
        "Tasks with the same sort key are ordered by id, in the same direction",
        component="Sort",
    ),
    query("completed", "Only completed tasks, or only open ones", type=BOOLEAN),
    query("priority", "Only tasks with this priority", component="Priority"),
    Parameter(
        name="tag",
        param_in="query",
        schema=Schema(
            type=OpenAPIType.ARRAY,
            items=Schema(type=STRING, min_length=1, max_length=TAG_MAX),
            max_items=TAGS_MAX,
        ),
        style="form",
        explode=True,
        description="Only tasks with this tag, ignoring case; if repeated, with all of these tags",
    ),
    query("due", "`none`: only tasks without a due date", type=STRING, enum=["none"]),
    query("due_before", f"Only tasks due before this. {_MOMENT}: `2026-02-01`", type=STRING, max_length=35),
    query(
        "due_after",
        f"Only tasks due after this. {_MOMENT}: `2026-01-31T17:00:00Z`",
        type=STRING,
        max_length=35,
    ),
    query(
        "updated_since",
        f"Only tasks changed at this time or later. {_MOMENT}: `2026-01-05T08:30:00Z`",
        type=STRING,
        max_length=35,
    ),
    query(
        "q",
        "Only tasks in which each of these words occurs, in the title or in the description, in any order. "
        "The last word may be the beginning of a word: `water pla`. Case and punctuation are ignored; there "
        f"is no syntax. At most {SEARCH_WORDS_MAX} words of at most {SEARCH_WORD_MAX} characters; "
        "a text without any word, such as `?!`, is searched literally",
        type=STRING,
        min_length=1,
        max_length=SEARCH_MAX,
    ),
    query("trashed", "`true`: only tasks in the trash", type=BOOLEAN, default=False),
    query(
        "limit",
        "The maximum number of tasks. A page has at most 1 MB of JSON; `Link` has the URL of the next page",
        type=OpenAPIType.INTEGER,
        minimum=1,
        maximum=PAGE_MAX,
        default=PAGE_DEFAULT,
    ),
    query(
        "cursor",
        'Where the page begins. Take it from `Link` with `rel="next"`. Send it with the '
        "same parameters as the first page; you may change `limit`",
        type=STRING,
        pattern=f"^[A-Za-z0-9_-]{{40,{CURSOR_MAX}}}$",
    ),
)
CHANGES_QUERY: Final = (
    query(
        "since",
        "The `next` of an earlier response. Without `since`, the response has all tasks",
        type=STRING,
        pattern=f"^{_TOKEN}$",
    ),
    query(
        "limit",
        "The maximum number of changes. A page has at most 1 MB; `more` says whether there are more changes",
        type=OpenAPIType.INTEGER,
        minimum=1,
        maximum=CHANGES_MAX,
        default=CHANGES_MAX,
    ),
)
TIME_ZONE: Final = query(
    "tz",
    "The person's time zone: a name of the IANA time zone database, such as `Europe/Berlin`",
    type=STRING,
    max_length=64,
    default=UTC,
)
LIST_IF_NONE_MATCH: Final = header(
    "If-None-Match", "Answer 304 if none of this person's tasks has changed since one of these ETags"
)
EVENTS_SINCE: Final = query(
    "since",
    "Where the events begin: the `next` of the changes that you have read, or `now`. Required if there is no "
    "`Last-Event-ID`",
    type=STRING,
    pattern=f"^(now|{_TOKEN})$",
)
LAST_EVENT_ID: Final = header(
    "Last-Event-ID",
    "The id of the last event that you have read: the stream continues after this event",
    pattern=f"^{_TOKEN}$",
)
