"""What the log says: where an error was, who asked under another name, and nothing that is somebody's."""

import json
from collections.abc import Iterator

import asyncpg
import pytest

from app import logs
from app.logs import user_name, where


def test_a_drivers_error_is_told_without_the_values_that_it_quotes() -> None:
    try:
        try:
            raise asyncpg.DataError("invalid input: 'a very private title'")  # noqa: TRY301 - the shape of it
        except asyncpg.DataError as error:
            raise ValueError("a very private title") from error
    except ValueError as error:
        told = where(error)

    assert "private" not in str(told)
    assert told[0] == "builtins.ValueError"
    assert "asyncpg.exceptions.DataError" in told
    assert any("test_logs.py" in line for line in told)


@pytest.mark.parametrize("error", [TypeError("f() takes 1 argument"), AttributeError("no attribute x")])
def test_an_error_of_the_code_is_told_with_its_message(error: Exception) -> None:
    assert str(error) in where(error)[0]


@pytest.fixture
def _configured_back() -> Iterator[None]:
    yield
    logs.configure("info", "json")


@pytest.mark.usefixtures("_configured_back")
def test_a_person_has_one_name_for_as_long_as_the_key_is_kept() -> None:
    logs.configure("info", "json", "a key of the operator")
    first = user_name("ann")

    assert user_name("bob") != first
    logs.configure("info", "json", "another key of the operator")
    assert user_name("ann") != first
    logs.configure("info", "json", "a key of the operator")
    assert user_name("ann") == first


@pytest.mark.parametrize("nothing", [True, False])
def test_the_line_written_by_hand_is_json(nothing: bool, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: FBT001
    logs.configure("info", "json")

    logs.request(
        "id",
        None if nothing else "a" * 32,
        None if nothing else 'ann "the" \\ admin\n',
        "GET",
        None if nothing else "/api/{user_id}/tasks",
        200,
        None if nothing else "task-not-found",
        1.2345,
    )

    line = json.loads(capsys.readouterr().out)
    assert (line["request_id"], line["milliseconds"], line["level"]) == ("id", 1.23, "info")
    told = line["trace_id"], line["user"], line["route"], line["problem"]
    assert all(value is None for value in told) if nothing else None not in told
    assert "ann" not in str(line)
