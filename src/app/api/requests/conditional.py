"""Conditional requests (RFC 9110 §13): `If-Match` and `If-None-Match`.

A task's entity tag is its version in quotes. It is strong: one version has one representation.
"""

import re
from typing import Final

from app.api.requests.request import TaskRequest
from app.api.requests.validation import ErrorCollector
from app.domain.task import ForeignTags, MissingVersions, NoTask, Versions

_TAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_LIST: Final = re.compile(rf"[ \t,]*{_TAG.pattern}([ \t]*,[ \t,]*{_TAG.pattern})*[ \t,]*")
_VERSION: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def read_expected_versions(request: TaskRequest, errors: ErrorCollector) -> Versions | None:
    """Return the versions that a write expects; None: any.

    `If-None-Match: *` means that the task must not exist (§13.1.2). So a write to an existing task gets 412.
    """
    if_none_match = _header(request, b"if-none-match")
    expected = read_if_match(request, errors)
    if if_none_match is None:
        return expected
    if if_none_match.strip(" \t") != "*":
        errors.add("/If-None-Match", "must be `*` in a write: use `If-Match` to name a version", "header")
    return NoTask()


def read_if_match(request: TaskRequest, errors: ErrorCollector) -> Versions | None:
    """Return the versions in `If-Match`; None: any.

    If it is required but absent, the versions match nothing. A task that does not exist is then 404, and one
    that exists is 428.
    """
    if_match = _header(request, b"if-match")
    if if_match is None:
        return MissingVersions() if request.context.app.require_if_match else None
    try:
        return read_versions(if_match)
    except ValueError as wrong:
        errors.add("/If-Match", str(wrong), "header")
        return None


def read_versions(given: str) -> Versions | None:
    """Parse entity tags into versions, or `*` into None. Tags that are no versions become ForeignTags.

    Raises:
        ValueError: the text is neither.
    """
    if given.strip(" \t") == "*":
        return None
    if not _LIST.fullmatch(given):
        raise ValueError('must be `*`, or entity tags like "3", separated by commas')
    strong = [tag for weak, tag in _TAG.findall(given) if not weak]  # §13.1.1: weak ones never match
    return frozenset(int(tag) for tag in strong if _VERSION.fullmatch(tag)) or ForeignTags(given)


def is_known(request: TaskRequest, etag: bytes) -> bool:
    """Return whether `If-None-Match` has this entity tag or `*`. A malformed header has none."""
    if_none_match = _header(request, b"if-none-match")
    if if_none_match is None:
        return False
    if if_none_match.strip(" \t") == "*":
        return True
    known = etag.decode("latin-1").strip('"')
    tags = _TAG.findall(if_none_match) if _LIST.fullmatch(if_none_match) else ()
    return any(opaque == known for _, opaque in tags)


def _header(request: TaskRequest, name: bytes) -> str | None:
    """Return a list header with its lines joined (RFC 9110 §5.3); None if it is absent."""
    values = request.context.lines(name)
    return ", ".join(values) if values else None
