"""The context of a request."""

import pytest

from app.api.context import begin, context_of
from tests.support.requests import context_with, task_request


def test_a_request_without_a_user_has_no_tasks() -> None:
    context = task_request().context
    context.principal = None

    with pytest.raises(RuntimeError):
        _ = context.tasks
    with pytest.raises(RuntimeError):
        _ = context.unit_of_work


def test_a_repeated_header_has_a_first_line_and_all_its_lines_in_their_order() -> None:
    context = context_with([(b"accept", b"a"), (b"host", b"x"), (b"accept", b"\xe9")])

    assert (context.first(b"accept"), context.lines(b"accept")) == ("a", ["a", "é"])
    assert (context.first(b"origin"), context.lines(b"origin")) == (None, [])


def test_each_request_has_a_context_of_its_own_and_a_lifespan_has_none() -> None:
    request = task_request()

    assert context_of(request.scope) is request.context is not task_request().context
    assert begin({"type": "lifespan"}, request.context.app) is None
