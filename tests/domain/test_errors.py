"""Errors of the domain that tell the client when to try again."""

import inspect
from collections.abc import Iterator

import pytest

from app.domain.errors import DomainError, RetryLater, TooManyStreams, Unavailable


def errors_with_default(base: type[DomainError]) -> Iterator[type[DomainError]]:
    """Yield each error class that has a default for `retry_after`."""
    for error in base.__subclasses__():
        if inspect.signature(error).parameters["retry_after"].default is not inspect.Parameter.empty:
            yield error
        yield from errors_with_default(error)


@pytest.mark.parametrize(
    "error",
    [*errors_with_default(RetryLater), *errors_with_default(Unavailable)],
    ids=lambda error: error.__name__,
)
def test_an_error_raised_without_retry_after_uses_the_default_of_its_class(error: type[DomainError]) -> None:
    """A class that sets `retry_after` needs `@dataclass`. Otherwise its `__init__` has the default of its base."""
    default = inspect.signature(error).parameters["retry_after"].default

    assert default == vars(error).get("retry_after", default)


def test_a_person_with_all_streams_open_waits_for_a_minute() -> None:
    assert TooManyStreams().retry_after == 60
