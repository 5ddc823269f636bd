"""Parameters in the OpenAPI document: of paths, queries and headers."""

from typing import Any, Final

from litestar.openapi.spec import Parameter, Reference, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from app.api.requests.cursors import CURSOR_MAX, TOKEN_LENGTH
from app.api.requests.idempotency import KEY_HEADER, KEY_MAX
from app.api.requests.list_query import UTC
from app.domain.changes import CHANGES_MAX
from app.domain.tags import TAG_MAX, TAGS_MAX
from app.domain.task_list import PAGE_DEFAULT, PAGE_MAX, SEARCH_MAX, SEARCH_WORD_MAX, SEARCH_WORDS_MAX

STRING, BOOLEAN = OpenAPIType.STRING, OpenAPIType.BOOLEAN
_TOKEN: Final = f"[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}"
_MOMENT: Final = (
    "The value is a date (00:00 UTC of that day) or a date-time with an offset; write `+` as `%2B`. Example"
)


def _query(name: str, description: str, *, component: str = "", **schema: Any) -> Parameter:
    # No `example`: Swagger UI fills in examples, and the request would then have every filter set.
    described = Reference(f"#/components/schemas/{component}") if component else Schema(**schema)
    return Parameter(name=name, param_in="query", schema=described, description=description)


def _header(name: str, description: str, **schema: Any) -> Parameter:
    described = Schema(type=STRING, **schema)
    return Parameter(name=name, param_in="header", schema=described, description=description)


USER_ID: Final = Parameter(
    name="user_id",
    param_in="path",
    required=True,
    schema=Schema(type=STRING, min_length=1, max_length=255),
    description="The subject of the token, percent-encoded, or `me`",
    example="me",
)
TASK_ID: Final = Parameter(
    name="task_id",
    param_in="path",
    required=True,
    schema=Schema(type=STRING, format=OpenAPIFormat.UUID),
    description="The id of one of your tasks",
)
IF_MATCH: Final = _header("If-Match", 'Write only if the task has one of these ETags, as `"3"`; `*`: any')
IF_NONE_MATCH: Final = _header("If-None-Match", 'Answer 304 if the task has one of these ETags, as `"3"`')
PERMANENT: Final = _query(
    "permanent", "Delete permanently, whether in the trash or not", type=BOOLEAN, default=False
)
IDEMPOTENCY_KEY: Final = _header(
    KEY_HEADER,
    "Makes the request safe to repeat for 24 hours: a repeated request gets the first response "
    "again. Use a new UUID for each request, quoted (draft-ietf-httpapi-idempotency-key-header) or bare. "
    "Error responses are not stored",
    min_length=1,
    max_length=KEY_MAX + 2,
)
LIST_QUERY: Final = (
    _query(
        "sort",
        "The order; `-` means descending. `due` and `-due` put tasks without a due date last. "
        "Tasks with the same sort key are ordered by id, in the same direction",
        component="Sort",
    ),
    _query("completed", "Only completed tasks, or only open ones", type=BOOLEAN),
    _query("priority", "Only tasks with this priority", component="Priority"),
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
    _query("due", "`none`: only tasks without a due date", type=STRING, enum=["none"]),
    _query("due_before", f"Only tasks due before this. {_MOMENT}: `2026-02-01`", type=STRING, max_length=35),
    _query(
        "due_after",
        f"Only tasks due after this. {_MOMENT}: `2026-01-31T17:00:00Z`",
        type=STRING,
        max_length=35,
    ),
    _query(
        "updated_since",
        f"Only tasks changed at this time or later. {_MOMENT}: `2026-01-05T08:30:00Z`",
        type=STRING,
        max_length=35,
    ),
    _query(
        "q",
        "Only tasks in which each of these words occurs, in the title or in the description, in any order. "
        "The last word may be the beginning of a word: `water pla`. Case and punctuation are ignored; there "
        f"is no syntax. At most {SEARCH_WORDS_MAX} words of at most {SEARCH_WORD_MAX} characters; "
        "a text without any word, such as `?!`, is searched literally",
        type=STRING,
        min_length=1,
        max_length=SEARCH_MAX,
    ),
    _query("trashed", "`true`: only tasks in the trash", type=BOOLEAN, default=False),
    _query(
        "limit",
        "The maximum number of tasks. A page has at most 1 MB of JSON; `Link` has the URL of the next page",
        type=OpenAPIType.INTEGER,
        minimum=1,
        maximum=PAGE_MAX,
        default=PAGE_DEFAULT,
    ),
    _query(
        "cursor",
        'Where the page begins. Take it from `Link` with `rel="next"`. Send it with the '
        "same parameters as the first page; you may change `limit`",
        type=STRING,
        pattern=f"^[A-Za-z0-9_-]{{40,{CURSOR_MAX}}}$",
    ),
)
CHANGES_QUERY: Final = (
    _query(
        "since",
        "The `next` of an earlier response. Without `since`, the responses have all tasks, page by page",
        type=STRING,
        pattern=f"^{_TOKEN}$",
    ),
    _query(
        "limit",
        "The maximum number of changes. A page has at most 1 MB; `more` says whether there are more changes",
        type=OpenAPIType.INTEGER,
        minimum=1,
        maximum=CHANGES_MAX,
        default=CHANGES_MAX,
    ),
)
TIME_ZONE: Final = _query(
    "tz",
    "The person's time zone: a name of the IANA time zone database, such as `Europe/Berlin`",
    type=STRING,
    max_length=64,
    default=UTC,
)
LIST_IF_NONE_MATCH: Final = _header(
    "If-None-Match", "Answer 304 if none of this person's tasks has changed since one of these ETags"
)
EVENTS_SINCE: Final = _query(
    "since",
    "Where the events begin: the `next` of the changes that you have read, or `now`. Required if there is no "
    "`Last-Event-ID`",
    type=STRING,
    pattern=f"^(now|{_TOKEN})$",
)
LAST_EVENT_ID: Final = _header(
    "Last-Event-ID",
    "The id of the last event that you have read: the stream continues after this event",
    pattern=f"^{_TOKEN}$",
)
