"""What the log says of an error: where it was, and nothing that is somebody's."""

import asyncpg
import pytest

from app.logs import where


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
