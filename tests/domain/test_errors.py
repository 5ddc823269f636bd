"""Errors of the domain that say when the same request may succeed."""

import inspect
from collections.abc import Iterator

import pytest

from app.domain.errors import DomainError, RetryLater, TooManyStreams, Unavailable


def with_a_wait(base: type[DomainError]) -> Iterator[type[DomainError]]:
    """Yield each error that has a default of the seconds to wait."""
    for error in base.__subclasses__():
        if inspect.signature(error).parameters["retry_after"].default is not inspect.Parameter.empty:
            yield error
        yield from with_a_wait(error)


@pytest.mark.parametrize(
    "error", [*with_a_wait(RetryLater), *with_a_wait(Unavailable)], ids=lambda error: error.__name__
)
def test_an_error_raised_without_retry_after_uses_the_default_of_its_class(error: type[DomainError]) -> None:
    """If a class sets `retry_after` without `@dataclass`, its `__init__` still uses the default of its base."""
    default = inspect.signature(error).parameters["retry_after"].default

    assert default == vars(error).get("retry_after", default)


def test_a_person_with_all_streams_open_waits_for_a_minute() -> None:
    assert TooManyStreams().retry_after == 60
