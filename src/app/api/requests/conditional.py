"""Conditional requests (RFC 9110 §13): `If-Match` before a write, `If-None-Match` before a read.

A task's entity tag is its version in quotes, and strong: the same version is the same representation.
"""

import re
from typing import Final

from app.api.requests.request import TaskRequest, lines
from app.api.requests.validation import ErrorCollector
from app.domain.task import MissingVersions, Versions

REQUIRE_IF_MATCH: Final = "require_if_match"
"""In a handler's `opt`: whether a write without `If-Match` is refused (428)."""

NO_VERSION: Final[Versions] = frozenset()

_TAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_LIST: Final = re.compile(rf"[ \t,]*{_TAG.pattern}([ \t]*,[ \t,]*{_TAG.pattern})*[ \t,]*")
_VERSION: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def read_expected_versions(request: TaskRequest, errors: ErrorCollector) -> Versions | None:
    """Read which versions a write expects; None: any.

    `If-None-Match: *` expects none: the task must not exist (§13.1.2), so a write of it is 412.
    """
    unwanted = _header(request, b"if-none-match")
    expected = read_if_match(request, errors)
    if unwanted is None:
        return expected
    if unwanted.strip(" \t") != "*":
        errors.add("/If-None-Match", "must be `*` in a write: use `If-Match` to name a version", "header")
    return NO_VERSION


def read_if_match(request: TaskRequest, errors: ErrorCollector) -> Versions | None:
    """Read which versions a write expects; None: any.

    If-Match is required but missing: it matches no version, so that a missing task is 404 before 428.
    """
    given = _header(request, b"if-match")
    if given is None:
        return MissingVersions() if request.route_handler.opt.get(REQUIRE_IF_MATCH) else None
    try:
        return read_versions(given)
    except ValueError as wrong:
        errors.add("/If-Match", str(wrong), "header")
        return None


def read_versions(given: str) -> Versions | None:
    """Read `*`, which is None, or the versions that entity tags name.

    Raises:
        ValueError: it is neither.

    """
    if given.strip(" \t") == "*":
        return None
    if not _LIST.fullmatch(given):
        raise ValueError('must be `*`, or entity tags like "3", split by commas')
    strong = [tag for weak, tag in _TAG.findall(given) if not weak]  # §13.1.1: weak ones never match
    return frozenset(int(tag) for tag in strong if _VERSION.fullmatch(tag))


def is_known(request: TaskRequest, tag: bytes) -> bool:
    """Tell whether the client has this representation already; what is malformed names none."""
    given = _header(request, b"if-none-match")
    if given is None:
        return False
    known = tag.decode("latin-1").strip('"')
    return given.strip(" \t") == "*" or any(opaque == known for _, opaque in _TAG.findall(given))


def _header(request: TaskRequest, name: bytes) -> str | None:
    """Return a list header, its lines joined (RFC 9110 §5.3)."""
    given = lines(request, name)
    return ", ".join(given) if given else None
