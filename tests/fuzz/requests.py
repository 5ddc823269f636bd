"""Requests that are valid or almost valid, as a method, a target, header lines and a body."""

import json
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from tests.fuzz.near import STRANGE_BYTES, binaries, changed, json_near
from tests.support.requests import Lines

TASK: Final = "019a8f3e-5c00-7b1c-8c5e-2f6d1a9b4e70"  # the tests replace it with the id of an existing task
OTHERS: Final = (
    "019a8f3e-5c00-7b1c-8c5e-2f6d1a9b4e71"  # the tests replace it with the id of another person's task
)
TOKEN: Final = b"{token}"  # the tests replace it with a token

_TASK = f"/api/me/tasks/{TASK}"
_WHOLE = {
    "title": "x",
    "description": None,
    "completed": False,
    "due": "2026-01-09",
    "priority": "low",
    "tags": ["a"],
}
_CREATE = {"op": "create", "title": "x"}
_UPDATE = {"op": "update", "id": TASK, "if_match": '"1"', "tags": None}
_BATCHES = (
    {"operations": [_CREATE, _UPDATE]},
    {"operations": [{"op": "restore", "id": TASK}, {"op": "delete", "id": OTHERS}]},
    {"operations": [{"op": "complete", "id": TASK, "completed": False}]},
)
# Method, target, and the possible bodies.
GOOD: Final[tuple[tuple[str, str, tuple[dict[str, Any], ...]], ...]] = (
    ("GET", "/api/me/tasks?limit=2&sort=-due&tag=home&q=wat", ()),
    ("POST", "/api/me/tasks", (_WHOLE, {"title": "x"})),
    ("POST", "/api/me/tasks/batch", _BATCHES),
    ("GET", "/api/me/tasks/summary?tz=Europe/Berlin", ()),
    ("GET", "/api/me/tasks/changes?limit=2", ()),
    ("GET", _TASK, ()),
    ("HEAD", _TASK, ()),
    ("PUT", _TASK, (_WHOLE, {"id": TASK, "title": "y"})),
    ("PATCH", _TASK, (_WHOLE, {"due": None, "tags": None})),
    ("PATCH", f"{_TASK}/complete", ({"completed": True},)),
    ("PATCH", f"{_TASK}/complete", ()),
    ("POST", f"{_TASK}/move", ({"before": TASK}, {"after": OTHERS})),
    ("POST", f"{_TASK}/restore", ()),
    ("DELETE", f"{_TASK}?permanent=false", ()),
    ("GET", f"/api/somebody%20else/tasks/{OTHERS}", ()),
    ("PUT", f"/api/me/tasks/{OTHERS}", (_WHOLE,)),
    ("DELETE", f"/api/me/tasks/{OTHERS}", ()),
    ("OPTIONS", "/api/me/tasks", ()),
    ("GET", "/health", ()),
    ("GET", "/openapi.json", ()),
    ("GET", "/docs", ()),
)
FIELDS: Final = (
    (b"content-type", b"application/json"),
    (b"content-type", b"application/merge-patch+json; charset=utf-8"),
    (b"accept", b"application/json, */*;q=0.1"),
    (b"if-match", b'"1", W/"2"'),
    (b"if-none-match", b'"1"'),
    (b"idempotency-key", b"8e03978e-40d5-43dd-bc93-6894a57f9324"),
    (b"origin", b"http://localhost:3000"),
    (b"access-control-request-method", b"PUT"),
    (b"x-request-id", b"find-me"),
    (b"range", b"bytes=0-1"),
    (b"cookie", b"a=b; c=d"),
    (b"content-encoding", b"gzip"),
    (b"x-forwarded-for", b"192.0.2.1, 198.51.100.7"),
    (b"forwarded", b"for=192.0.2.1"),
    (b"expect", b"100-continue"),
)
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get")


@dataclass
class RandomRequest:
    """One request."""

    method: str
    target: bytes
    headers: Lines
    body: bytes

    def raw(self) -> bytes:
        """Return the request as bytes of HTTP/1.1."""
        lines = b"".join(b"%s: %s\r\n" % line for line in self.headers)
        return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (self.method.encode(), self.target, lines, self.body)


def values_near(good: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy: this value, unchanged or slightly changed, of bytes that a header value may have."""
    near = changed(good, st.binary(max_size=4) | st.sampled_from(STRANGE_BYTES))
    return near.map(lambda value: value.translate(None, b"\0\r\n").strip(b" \t"))


PARTS: Final = ("method", "target", "host", "authorization", "fields", "body")


@st.composite
def requests(draw: st.DrawFn) -> RandomRequest:
    """Draw a valid request with at most two parts changed."""
    method, path, bodies = draw(st.sampled_from(GOOD))
    changed_parts = draw(st.sets(st.sampled_from(PARTS), max_size=2))
    target, body = path.encode(), b""
    if "method" in changed_parts:
        method = draw(st.sampled_from(METHODS))
    if "target" in changed_parts:
        target = draw(changed(target, binaries)).translate(None, bytes(range(33)) + b"\x7f#")
    if bodies and "body" not in changed_parts:
        body = json.dumps(draw(st.sampled_from(bodies))).encode()
    elif "body" in changed_parts:
        body = draw(json_near(bodies or _BATCHES))
    host, bearer = b"testserver", b"Bearer " + TOKEN
    headers: Lines = [(b"host", draw(values_near(host)) if "host" in changed_parts else host)]
    if "authorization" in changed_parts:
        headers += [(b"authorization", draw(values_near(bearer))) for _ in range(draw(st.integers(0, 2)))]
    else:
        headers.append((b"authorization", bearer))
    if body:
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if "fields" in changed_parts:
        fields = st.lists(st.sampled_from(FIELDS), max_size=3)
        headers += draw(fields)
        headers += [(name, draw(values_near(value))) for name, value in draw(fields)]
    return RandomRequest(method, b"/" + target.lstrip(b"/"), headers, body)


def fill_in(raw: bytes, **instead: str) -> bytes:
    """Replace TOKEN, TASK and OTHERS by the values that exist in the test."""
    for name, value in {
        TOKEN.decode(): instead["token"],
        TASK: instead["mine"],
        OTHERS: instead["others"],
    }.items():
        raw = raw.replace(name.encode(), value.encode())
    return raw
