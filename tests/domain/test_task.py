"""The rules of one task: valid titles and descriptions, changes, and ids."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.errors import InvalidTask
from app.domain.task import DESCRIPTION_MAX, KEEP, TITLE_MAX, NewTask, TaskChanges, new_task_id
from tests.support.factories import NOON

moments = st.datetimes(
    min_value=datetime(1971, 1, 1),
    max_value=datetime(4000, 1, 1),
    timezones=st.just(UTC),
)
any_text = st.text(st.characters(exclude_categories=()), max_size=TITLE_MAX + 5)


def broken_by(title: str = "x", description: str | None = None) -> set[str]:
    """Return the names of the invalid fields."""
    try:
        NewTask(title=title, description=description)
    except InvalidTask as error:
        return {rule.field for rule in error.broken}
    return set()


def test_a_title_is_trimmed() -> None:
    assert NewTask(title=" \n water the plants\t ").title == "water the plants"


@pytest.mark.parametrize("title", ["", "   ", "\n\t\u2003", "x" * (TITLE_MAX + 1), "a\0b", "\ud800"])
def test_a_title_that_breaks_a_rule_is_refused(title: str) -> None:
    assert broken_by(title=title) == {"title"}


@pytest.mark.parametrize("title", ["x", "x" * TITLE_MAX, " " * 300 + "x", "🌱" * TITLE_MAX, "two\nlines"])
def test_a_title_within_the_rules_is_accepted_and_trimmed(title: str) -> None:
    assert NewTask(title=title).title == title.strip()


@pytest.mark.parametrize("description", ["x" * (DESCRIPTION_MAX + 1), "a\0b", "\udfff"])
def test_a_description_that_breaks_a_rule_is_refused(description: str) -> None:
    assert broken_by(description=description) == {"description"}


@pytest.mark.parametrize("description", [None, "", " ", "🌱" * DESCRIPTION_MAX])
def test_a_description_within_the_rules_is_kept_as_it_is(description: str | None) -> None:
    assert NewTask(title="x", description=description).description == description


def test_all_broken_rules_are_reported_at_once() -> None:
    assert broken_by(title=" ", description="\0") == {"title", "description"}


def test_changes_obey_the_rules_of_a_new_task() -> None:
    with pytest.raises(InvalidTask) as raised:
        TaskChanges(title=" ", description="\0")

    assert [rule.field for rule in raised.value.broken] == ["title", "description"]


def test_changes_have_only_the_given_fields() -> None:
    assert TaskChanges().given_fields() == {}
    assert TaskChanges(title=" x ", description=None).given_fields() == {"title": "x", "description": None}
    assert TaskChanges(completed=False, title=KEEP).given_fields() == {"completed": False}


@given(title=any_text)
def test_any_title_is_refused_or_trimmed_and_can_be_stored(title: str) -> None:
    if broken_by(title=title):
        return

    kept = NewTask(title=title).title

    assert kept == title.strip()
    assert 1 <= len(kept) <= TITLE_MAX
    assert b"\0" not in kept.encode()


@example(first=datetime(3999, 12, 31, 23, 59, 59, 999_997, UTC), microseconds=1)
@given(first=moments, microseconds=st.integers(min_value=1, max_value=10**9))
def test_ids_sort_by_the_time_of_their_creation(first: datetime, microseconds: int) -> None:
    second = first + timedelta(microseconds=microseconds)

    assert new_task_id(first) < new_task_id(second)


@given(now=moments)
def test_an_id_is_a_uuid_of_version_7_with_its_creation_time(now: datetime) -> None:
    task_id = new_task_id(now)

    milliseconds = task_id.int >> 80
    assert task_id.version == 7
    assert task_id.variant == "specified in RFC 4122"
    assert datetime.fromtimestamp(milliseconds // 1000, UTC) == now.replace(microsecond=0)
    assert milliseconds % 1000 == now.microsecond // 1000


def test_ids_of_one_moment_differ() -> None:
    assert len({new_task_id(NOON) for _ in range(1000)}) == 1000
