"""The context of a request."""

import pytest

from app.api.context import context_of, make_context
from tests.support.requests import context_with, task_request


def test_an_unauthenticated_request_has_no_unit_of_work() -> None:
    context = task_request().context
    context.user = None

    with pytest.raises(RuntimeError):
        _ = context.tasks
    with pytest.raises(RuntimeError):
        _ = context.unit_of_work


def test_first_line_returns_the_first_of_a_repeated_header_and_lines_returns_all() -> None:
    context = context_with([(b"accept", b"a"), (b"host", b"x"), (b"accept", b"\xe9")])

    assert (context.first_line(b"accept"), context.lines(b"accept")) == ("a", ["a", "é"])
    assert (context.first_line(b"origin"), context.lines(b"origin")) == (None, [])


def test_each_request_has_its_own_context_and_a_lifespan_has_none() -> None:
    request = task_request()

    assert context_of(request.scope) is request.context is not task_request().context
    assert make_context({"type": "lifespan"}, request.context.app) is None
