"""Validation of requests. All errors of a request are collected and reported together."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from app import strict_json
from app.api.problems import InvalidRequest
from app.api.requests import hints
from app.api.requests.hints import hint
from app.api.requests.idempotency import KEY_HEADER, read_key
from app.api.requests.request import TaskRequest
from app.api.schemas import FieldError
from app.domain.task import Task, TaskChanges, TaskId, broken_rules
from app.event_loop import TimeSlice

Members = dict[str, Any]
T = TypeVar("T")

UUID_FORM: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
ERRORS_MAX: Final = 100
HINTS_MAX: Final = 10  # errors with a hint in a request: comparing names takes longer than all other checks
PARAMETERS_MAX: Final = 100  # in a query; a list with every filter and 20 tags has far fewer
READ_ONLY: Final = frozenset({"user_id", *Task.__slots__} - {*TaskChanges.__slots__})
"""The fields of a task that only the server sets."""

FieldReader = Callable[[object], Any]
"""Converts a JSON value for the domain, or raises ValueError with the reason."""


class ErrorCollector:
    """Collects the validation errors of one request while it is read."""

    def __init__(
        self, request: TaskRequest, *, found: list[FieldError] | None = None, within: str = ""
    ) -> None:
        self._request = request
        self._found: list[FieldError] = [] if found is None else found
        self._within = within  # a JSON pointer, which prefixes all others

    def within(self, pointer: str) -> "ErrorCollector":
        """Return a collector for a part of the body, which adds to the same errors."""
        return ErrorCollector(self._request, found=self._found, within=self._within + pointer)

    def add(self, pointer: str, detail: str, place: str = "body") -> None:
        """Add an error if there are fewer than ERRORS_MAX."""
        if not self.is_full:
            self._found.append(FieldError(self._within + pointer, detail, place))

    @property
    def is_full(self) -> bool:
        """Whether there are ERRORS_MAX errors, so that no more are added."""
        return len(self._found) >= ERRORS_MAX

    def has(self, pointer: str) -> bool:
        """Return whether there is an error at this place."""
        return any(error.pointer == self._within + pointer for error in self._found)

    def raise_any(self) -> None:
        """Raise InvalidRequest if there is any error."""
        if self._found:
            raise InvalidRequest(self._found)

    def value_or_raise(self, value: T) -> T:
        """Return the value, or raise InvalidRequest if there is any error."""
        self.raise_any()
        return value

    def read(self, pointer: str, place: str, reader: Callable[..., T], *arguments: Any) -> T | None:
        """Return what a reader returns. If it raises ValueError, add the error and return None."""
        try:
            return reader(*arguments)
        except ValueError as wrong:
            self.add(pointer, str(wrong), place)
            return None

    def read_task_id(self) -> TaskId:
        """Read the path's task id; if it is invalid, add an error and return the nil UUID."""
        text = self._request.path_params["task_id"]
        if UUID_FORM.fullmatch(text):
            return TaskId(UUID(text))
        self.add("/task_id", "must be a UUID", "path")
        return TaskId(UUID(int=0))

    def read_query(self, *known: str) -> Mapping[str, str]:
        """Read the parameters of the query; add an error for each that is unknown or repeated."""
        return dict(self.read_parameters(known))

    def read_parameters(
        self, known: Collection[str], *, repeatable: Collection[str] = ()
    ) -> list[tuple[str, str]]:
        """Read the parameters in their order, as `query` does. Those in `repeatable` may be repeated."""
        raw = self._request.context.query
        if not raw:
            return []
        if raw.count(b"&") >= PARAMETERS_MAX:
            self.add("", f"has more than {PARAMETERS_MAX} parameters", "query")
            return []
        try:
            pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict")
        except ValueError:
            self.add("", "is not UTF-8 in percent-encoding", "query")
            return []
        seen: set[str] = set()
        for name, _ in pairs:
            if name not in known:
                if self.is_full:
                    break
                near = self._hint(name, known, hints.PARAMETERS)
                self.add(f"/{_escape(name)}", f"is not a parameter of this operation{near}", "query")
            elif name in seen and name not in repeatable:
                self.add(f"/{name}", "is given more than once", "query")
            seen.add(name)
        return pairs

    def read_idempotency_key(self) -> str | None:
        """Read the idempotency key, if there is one (`app.api.requests.idempotency`)."""
        lines = self._request.context.lines(KEY_HEADER.lower().encode())
        return self.read(f"/{KEY_HEADER}", "header", read_key, lines)

    def read_json(self, body: bytes) -> object:
        """Parse the body; add an error and return an empty object if it is not strict JSON."""
        if not body:
            self.add("", "must be a JSON object, and nothing was sent")
            return {}
        try:
            return strict_json.loads(body)
        except strict_json.NotStrictJson as error:
            return self._add_json_error(error)

    async def read_json_in_slices(self, body: bytes, time_slice: TimeSlice, *, part_max: int) -> object:
        """Parse the body as `json` does, and let other work run between the items of its arrays.

        Raises:
            PartTooLong: an item, or the text around the items, has more than `part_max` bytes.
        """
        if not body:
            return self.read_json(body)
        try:
            return await strict_json.loads_in_slices(body, time_slice.yield_to_others, part_max=part_max)
        except strict_json.NotStrictJson as error:
            return self._add_json_error(error)

    def _add_json_error(self, error: strict_json.NotStrictJson) -> object:
        self.add("", f"cannot be read as JSON: {error}")
        return {}

    def read_members(
        self,
        value: object,
        fields: Mapping[str, FieldReader],
        *,
        ignored: Collection[str] = (),
        null_values: Mapping[str, object] | None = None,
    ) -> Members:
        """Read a JSON object. Return its valid and its ignored members; add an error for each other one.

        `fields` has a reader for each known member, and `null_values` the values that null means for some.
        """
        if not isinstance(value, dict):
            self.add("", f"must be an object, not {kind(value)}")
            return {}
        members: Members = {}
        for name, member in value.items():
            if name in fields:
                try:
                    if member is None and null_values is not None and name in null_values:
                        members[name] = null_values[name]
                    else:
                        members[name] = fields[name](member)
                except ItemError as wrong:
                    self.add(f"/{name}/{wrong.place}", str(wrong))
                except ValueError as wrong:
                    self.add(f"/{name}", str(wrong))
            elif name in ignored:
                members[name] = member
            elif name in READ_ONLY:
                self.add(f"/{name}", "is read-only")
            elif not self.is_full:
                self.add(f"/{_escape(name)}", f"unknown field{self._hint(name, fields, hints.FIELDS)}")
        return members

    def _hint(self, name: str, known: Collection[str], others: Mapping[str, str]) -> str:
        return hint(name, known, others) if len(self._found) < HINTS_MAX else ""

    def add_broken_rules(self, members: Members) -> None:
        """Add an error for each domain rule that the members break."""
        for broken in broken_rules(members):
            self.add(f"/{broken.field}", broken.rule)

    def raise_any_with_rules(self, members: Members) -> None:
        """If there is any error, add the broken domain rules and raise InvalidRequest.

        Without an error the rules are not checked here: the domain checks them and uses the same texts.
        """
        if self._found:
            self.add_broken_rules(members)
            self.raise_any()


class ItemError(ValueError):
    """One item of a list is invalid; the message says why. `place` is its index."""

    def __init__(self, place: int, detail: str) -> None:
        super().__init__(detail)
        self.place = place


def read_text(value: object) -> str:
    """Read a string."""
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {kind(value)}")  # noqa: TRY004 - field readers raise ValueError
    return value


def read_text_or_null(value: object) -> str | None:
    """Read a string or null."""
    if value is not None and not isinstance(value, str):
        raise ValueError(f"must be a string or null, not {kind(value)}")
    return value


def read_boolean(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {kind(value)}")  # noqa: TRY004 - field readers raise ValueError
    return value


def read_flag(text: str) -> bool:
    """Read a parameter that is true or false."""
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def kind(value: object) -> str:
    """Return the name of a value's JSON type, with an article."""
    names = {str: "a string", bool: "a boolean", type(None): "null", dict: "an object", list: "an array"}
    return names.get(type(value), "a number")


def _escape(name: str) -> str:
    """Escape a member's name for a JSON pointer (RFC 6901 §3). Cut to 100 characters."""
    return name[:100].replace("~", "~0").replace("/", "~1")
