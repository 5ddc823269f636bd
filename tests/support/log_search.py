"""Searches every line that the service logs in a run of the tests for personal data.

A process of `tests.support.servers.service` is searched when it ends, the output of the application in this process
after each test. A finding fails the run (the hooks are in `tests.support.log_search_hooks`).

Personal data is recognised in two ways. The first is its shape: tokens, e-mail addresses, ids that `someone` made, URLs with a
password. The second is what the tests sent: the titles, descriptions, tags, search words, user ids and tokens of each request
through httpx, and the titles that a visitor of the page typed. Values shorter than `SHORTEST` are not searched for, because
lines contain them by chance. What other clients than httpx send is not known here.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import httpx
import pytest

SHORTEST: Final = 8  # characters
MEMBERS: Final = ("title", "description", "tags")
SHAPES: Final = {
    "a token": re.compile(r"eyJ[\w-]{8,}\.[\w-]+"),
    "an e-mail address": re.compile(r"(?<=\w)@[\w-]+\.[a-z]{2,}"),
    "a user id": re.compile(r"(?<=\w)(?<!\b00)-[0-9a-f]{32}\b"),  # not a `traceparent`, which begins with 00-
    "a factory's text": re.compile(r"\b(task|about) \d{3,6}\b"),
    "a password in an address": re.compile(r"://[^\s/:@]+:[^\s/@]+@"),
}


class LogSearch:
    """The private values, the searched lines, and the findings."""

    def __init__(self) -> None:
        self.lines = 0
        self.found: dict[str, str] = {}  # finding: the first line that has it
        self._words: dict[str, set[str]] = {}  # by their first `SHORTEST` characters, for a quick search

    def note(self, *words: str) -> None:
        """Record values that no log line may contain."""
        escaped = (json.dumps(word)[1:-1] for word in words)  # as in JSON
        for word in {*words, *escaped}:
            if len(word) >= SHORTEST:
                self._words.setdefault(word[:SHORTEST], set()).add(word)

    def note_request(self, request: httpx.Request) -> None:
        """Record the private values of a request."""
        self.note(request.headers.get("authorization", "").rpartition(" ")[2])
        self.note(*(value for name, value in parse_qsl(request.url.query.decode()) if name in ("q", "tag")))
        if owner := re.match(rb"/api/([^/]+)/tasks", request.url.raw_path):
            self.note(unquote(owner[1].decode()), owner[1].decode())
        try:
            self.note(*_texts(json.loads(request.content)))
        except (ValueError, RecursionError, httpx.RequestNotRead):
            return

    def search(self, source: str, text: str) -> None:
        """Search the text of a log; `source` says in a finding where the log comes from."""
        lines = text.splitlines()
        self.lines += len(lines)
        for line in lines:
            for what in self.private_in(line):
                self.found.setdefault(f"{source}: {what}", line)

    def add(self, lines: int, found: dict[str, str]) -> None:
        """Add the results of another process."""
        self.lines += lines
        self.found |= found

    def private_in(self, line: str) -> Iterator[str]:
        """Yield a description of each private value in a line."""
        yield from (what for what, shape in SHAPES.items() if shape.search(line))
        for start in range(len(line) - SHORTEST + 1):
            for word in self._words.get(line[start : start + SHORTEST], ()):
                if line.startswith(word, start):
                    yield f"{word!r}, which a test sent"


def _texts(value: Any) -> Iterator[str]:
    """Yield the titles, descriptions and tags anywhere in a body."""
    if isinstance(value, dict):
        for name, member in value.items():
            listed = member if isinstance(member, list) else [member]
            if name in MEMBERS:
                yield from (each for each in listed if isinstance(each, str))
            yield from (text for each in listed for text in _texts(each))


LOGS: Final = LogSearch()


@contextmanager
def recording_requests() -> Iterator[None]:
    """Record the private values of every request of httpx, from any client."""
    with pytest.MonkeyPatch.context() as patched:
        for client in (httpx.Client, httpx.AsyncClient):
            patched.setattr(client, "send", _recording(client.send))
        yield


def _recording(send: Any) -> Any:
    def send_and_note(client: Any, request: httpx.Request, **arguments: Any) -> Any:
        LOGS.note_request(request)
        return send(client, request, **arguments)

    return send_and_note
