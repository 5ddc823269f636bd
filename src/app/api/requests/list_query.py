"""Reading queries: filters, order, page size and cursor of a list; a page of changes; a time zone.

Each function collects all validation errors and raises InvalidRequest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from app.api.requests import cursors
from app.api.requests.hints import hint
from app.api.requests.request import TaskRequest
from app.api.requests.validation import ErrorCollector, read_flag
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
CACHED_PARAMETERS: Final = frozenset({"sort", "completed", "priority", "due", "trashed"})
"""Parameters with few values, the same for all people. Only queries of these and `limit` are cached."""

CACHED_MAX: Final = 1_000  # cached queries
CACHED_LENGTH_MAX: Final = 200  # bytes; a longer query is not cached

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
    """
    query = request.context.query
    if (cached := _cached.get(query)) is not None:
        return cached
    parsed = _read(request)
    is_cacheable = parsed.after is None and all(name in CACHED_PARAMETERS for name, _ in parsed.parameters)
    if is_cacheable and len(query) <= CACHED_LENGTH_MAX:
        if len(_cached) >= CACHED_MAX:
            _cached.clear()
        _cached[query] = parsed
    return parsed


def _read(request: TaskRequest) -> ListRequest:
    errors = ErrorCollector(request)
    pairs = errors.read_parameters((*_READERS, "tag"), repeatable=("tag",))
    values: dict[str, Any] = {
        name: errors.read(f"/{name}", "query", _READERS[name], text)
        for name, text in pairs
        if name in _READERS
    }
    if tags := _read_tags([text for name, text in pairs if name == "tag"], errors):
        values["tags"] = tags
    if values.get("due"):
        for other in ("due_before", "due_after"):
            if values.get(other) is not None:
                errors.add("/due", f"contradicts {other}", "query")
    errors.raise_any()
    limit, cursor = values.pop("limit", PAGE_DEFAULT), values.pop("cursor", None)
    order = values.pop("sort", {})
    fields = {_FIELDS.get(name, name): value for name, value in values.items()}
    selection = Selection(**order, **fields) if order or fields else NEWEST
    after = None
    if cursor is not None:
        after = errors.read("/cursor", "query", cursors.read, cursor, request.context.user_id, selection)
    parameters = tuple((name, text) for name, text in pairs if name not in ("limit", "cursor"))
    return errors.value_or_raise(ListRequest(selection, limit, after, parameters))


@dataclass(frozen=True, slots=True)
class ChangesRequest:
    """A requested page of changes."""

    since: ChangesToken | None = None  # None: all tasks
    limit: int = CHANGES_MAX


def read_changes_query(request: TaskRequest) -> ChangesRequest:
    """Read the query of changes."""
    errors = ErrorCollector(request)
    parameters = errors.read_query("since", "limit")
    since = limit = None
    if (text := parameters.get("since")) is not None:
        since = errors.read("/since", "query", cursors.read_token, text, request.context.user_id)
    if (text := parameters.get("limit")) is not None:
        limit = errors.read("/limit", "query", _read_number, text, CHANGES_MAX)
    return errors.value_or_raise(ChangesRequest(since, limit or CHANGES_MAX))


def read_zone(request: TaskRequest) -> ZoneInfo:
    """Read the time zone in the query; UTC by default."""
    errors = ErrorCollector(request)
    name = errors.read_query("tz").get("tz", UTC)
    zone = errors.read("/tz", "query", zone_of, name)
    return errors.value_or_raise(zone or zone_of(UTC))


def _read_number(text: str, at_most: int) -> int:
    if text.isascii() and text.isdigit() and len(text) <= len(str(at_most)) and 1 <= int(text) <= at_most:
        return int(text)
    raise ValueError(f"must be a whole number from 1 to {at_most}")


def _read_tags(texts: list[str], errors: ErrorCollector) -> tuple[str, ...]:
    if len(texts) > TAGS_MAX:
        errors.add("/tag", f"must be given at most {TAGS_MAX} times", "query")
    for text in texts[:TAGS_MAX]:
        if (broken := broken_tag_rule("tag", text)) is not None:
            errors.add("/tag", broken.rule, "query")
            return ()
    return tuple(sorted(set(map(tag_key, texts[:TAGS_MAX]))))


def _read_sort(text: str) -> dict[str, Any]:
    if text not in SORTS:
        raise ValueError(
            f"must be one of {', '.join(order.value for order in Order)}; `-` before it means descending"
            + ("; a list has one sort key only" if "," in text else hint(text, SORTS, {}))
        )
    return SORTS[text]


def _read_without_due(text: str) -> bool:
    if text != "none":
        raise ValueError("must be none; for a time use due_before and due_after")
    return True


def _read_moment(text: str) -> datetime:
    try:
        return Due.parse(text).at
    except ValueError as wrong:
        advice = "; in a query + is written %2B" if " " in text else ""
        raise ValueError(f"{wrong}{advice}") from None


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "sort": _read_sort,
    "completed": read_flag,
    "priority": read_priority,
    "due": _read_without_due,
    "due_before": _read_moment,
    "due_after": _read_moment,
    "updated_since": _read_moment,
    "q": Search.parse,
    "trashed": read_flag,
    "limit": lambda text: _read_number(text, PAGE_MAX),
    "cursor": str,
}
_FIELDS: Final = {"due": "without_due", "q": "search"}
"""The fields of a selection that have other names than their parameters."""
