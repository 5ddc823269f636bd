"""Reading queries: filters, order, page size and cursor of a list; a page of changes; a time zone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from app.api.requests import cursors
from app.api.requests.hints import hint
from app.api.requests.request import TaskRequest
from app.api.requests.validation import ErrorCollector
from app.api.task_fields import read_priority
from app.domain.changes import CHANGES_MAX, ChangesToken
from app.domain.due import Due
from app.domain.summary import zone_of
from app.domain.tags import TAGS_MAX, broken_tag_rule, tag_key
from app.domain.task_list import NEWEST, PAGE_DEFAULT, PAGE_MAX, Bookmark, Order, Search, Selection

SORTS: Final = {
    f"{sign}{order.value}": {"order": order, "descending": bool(sign)}
    for order in Order
    for sign in ("", "-")
}
UTC: Final = "UTC"
COMMON: Final = frozenset({"sort", "completed", "priority", "due", "trashed"})
"""Parameters with few values, the same for all people. Only queries of these and `limit` are cached."""

CACHED_MAX: Final = 1_000  # cached queries
CACHED_LENGTH_MAX: Final = 200  # bytes; a longer query is not cached
T = TypeVar("T")

_cached: dict[bytes, "ListRequest"] = {}


@dataclass(frozen=True, slots=True)
class ListRequest:
    """A requested page, and the parameters to request the next one."""

    selection: Selection = NEWEST
    limit: int = PAGE_DEFAULT
    after: Bookmark | None = None
    parameters: tuple[tuple[str, str], ...] = ()  # without limit and cursor

    def query_of(self, cursor: str) -> str:
        """Return the query string for the page that begins at a cursor."""
        same = f"{urlencode(self.parameters)}&" if self.parameters else ""
        return f"{same}limit={self.limit}&cursor={cursor}"  # neither needs encoding


def read_list(request: TaskRequest) -> ListRequest:
    """Read the query of a list.

    Clients request the same few lists again and again, so results are cached by query. Personal queries are
    not cached: those with a cursor, a search or tags. Those with a time are not cached either.

    Raises:
        InvalidRequest: with all validation errors.

    """
    query = request.context.query
    if (cached := _cached.get(query)) is not None:
        return cached
    parsed = _read(request)
    common = parsed.after is None and all(name in COMMON for name, _ in parsed.parameters)
    if common and len(query) <= CACHED_LENGTH_MAX:
        if len(_cached) >= CACHED_MAX:
            _cached.clear()
        _cached[query] = parsed
    return parsed


def _read(request: TaskRequest) -> ListRequest:
    errors = ErrorCollector(request)
    pairs = errors.parameters((*_READERS, "tag"), repeatable=("tag",))
    values: dict[str, Any] = {}
    for name, text in pairs:
        if reader := _READERS.get(name):
            values |= _read_or_collect(errors, name, reader, text) or {}
    if tags := _tags([text for name, text in pairs if name == "tag"], errors):
        values["tags"] = tags
    if "without_due" in values:
        for other in values.keys() & {"due_before", "due_after"}:
            errors.add("/due", f"contradicts {other}", "query")
    limit, cursor = values.pop("limit", PAGE_DEFAULT), values.pop("cursor", None)
    errors.raise_any()
    selection = Selection(**values) if values else NEWEST
    after = None
    if cursor is not None:
        after = _read_or_collect(errors, "cursor", cursors.read, cursor, request.context.user_id, selection)
    parameters = tuple((name, text) for name, text in pairs if name not in ("limit", "cursor"))
    return errors.value_or_raise(ListRequest(selection, limit, after, parameters))


@dataclass(frozen=True, slots=True)
class ChangesRequest:
    """A requested page of changes."""

    since: ChangesToken | None = None  # None: all tasks
    limit: int = CHANGES_MAX


def read_changes_query(request: TaskRequest) -> ChangesRequest:
    """Read the query of changes.

    Raises:
        InvalidRequest: with all validation errors.

    """
    errors = ErrorCollector(request)
    parameters = errors.query("since", "limit")
    since, limit = None, CHANGES_MAX
    if "since" in parameters:
        owner = request.context.user_id
        since = _read_or_collect(errors, "since", cursors.read_token, parameters["since"], owner)
    if "limit" in parameters:
        limit = _read_or_collect(errors, "limit", _number, parameters["limit"], CHANGES_MAX) or CHANGES_MAX
    return errors.value_or_raise(ChangesRequest(since, limit))


def read_zone(request: TaskRequest) -> ZoneInfo:
    """Read the time zone in the query; UTC by default."""
    errors = ErrorCollector(request)
    parameters = errors.query("tz")
    zone = _read_or_collect(errors, "tz", zone_of, parameters.get("tz", UTC))
    return errors.value_or_raise(zone or zone_of(UTC))


def _read_or_collect(errors: ErrorCollector, name: str, read: Callable[..., T], *arguments: Any) -> T | None:
    """Read a parameter. If it is invalid, collect the error and return None."""
    try:
        return read(*arguments)
    except ValueError as wrong:
        errors.add(f"/{name}", str(wrong), "query")
        return None


def _limit(text: str) -> dict[str, Any]:
    return {"limit": _number(text, PAGE_MAX)}


def _number(text: str, at_most: int) -> int:
    if text.isascii() and text.isdigit() and len(text) <= len(str(at_most)) and 1 <= int(text) <= at_most:
        return int(text)
    raise ValueError(f"must be a whole number from 1 to {at_most}")


def _tags(texts: list[str], errors: ErrorCollector) -> tuple[str, ...]:
    if len(texts) > TAGS_MAX:
        errors.add("/tag", f"must be given at most {TAGS_MAX} times", "query")
    for text in texts[:TAGS_MAX]:
        if (broken := broken_tag_rule("tag", text)) is not None:
            errors.add("/tag", broken.rule, "query")
            return ()
    return tuple(sorted(set(map(tag_key, texts[:TAGS_MAX]))))


def _sort(text: str) -> dict[str, Any]:
    if text not in SORTS:
        raise ValueError(
            f"must be one of {', '.join(order.value for order in Order)}; `-` before it means descending"
            + ("; a list has one sort key only" if "," in text else hint(text, SORTS, {}))
        )
    return SORTS[text]


def _boolean(field: str) -> Callable[[str], dict[str, Any]]:
    def read(text: str) -> dict[str, Any]:
        if text not in ("true", "false"):
            raise ValueError("must be true or false")
        return {field: text == "true"}

    return read


def _priority(text: str) -> dict[str, Any]:
    return {"priority": read_priority(text)}


def _no_due(text: str) -> dict[str, Any]:
    if text != "none":
        raise ValueError("must be none; for a time use due_before and due_after")
    return {"without_due": True}


def _moment(field: str) -> Callable[[str], dict[str, Any]]:
    def read(text: str) -> dict[str, Any]:
        try:
            return {field: Due.parse(text).at}
        except ValueError as wrong:
            hint = "; in a query + is written %2B" if " " in text else ""
            raise ValueError(f"{wrong}{hint}") from None

    return read


def _search(text: str) -> dict[str, Any]:
    return {"search": Search.parse(text)}


_READERS: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    "sort": _sort,
    "completed": _boolean("completed"),
    "priority": _priority,
    "due": _no_due,
    "due_before": _moment("due_before"),
    "due_after": _moment("due_after"),
    "updated_since": _moment("updated_since"),
    "q": _search,
    "trashed": _boolean("trashed"),
    "limit": _limit,
    "cursor": lambda text: {"cursor": text},
}
