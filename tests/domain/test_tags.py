"""Tags are trimmed and composed (NFC). They keep their case and order, and are compared without case."""

from functools import partial
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidTask
from app.domain.tags import TAG_MAX, TAGS_MAX, tag_key
from app.domain.task import NewTask, TaskChanges
from app.domain.text import words


def broken_by(*tags: str) -> set[str]:
    """Return the places of the invalid tags."""
    with pytest.raises(InvalidTask) as raised:
        NewTask(title="x", tags=tags)
    return {rule.field for rule in raised.value.broken}


def test_tags_are_trimmed_and_composed_and_keep_their_order_and_case() -> None:
    assert NewTask(title="x", tags=["  b ", "A", "Cafe\u0301"]).tags == ("b", "A", "Caf\u00e9")


@pytest.mark.parametrize(
    ("tags", "places"),
    [
        (("a", " "), {"tags/1"}),
        (("x" * (TAG_MAX + 1), "ok", ""), {"tags/0", "tags/2"}),
        (("Home", "b", "hOME"), {"tags/2"}),
        (("Caf\u00e9", "CAFE\u0301"), {"tags/1"}),
        (("straße", "STRASSE"), {"tags/1"}),
        (("\u2764", "\u2764\ufe0f"), {"tags/1"}),  # a heart, without and with a variation selector
        (("İstanbul", "istanbul", "i\u0307stanbul"), {"tags/1", "tags/2"}),
        (("a\0", "\ud800"), {"tags/0", "tags/1"}),
        (tuple(map(str, range(TAGS_MAX + 1))), {"tags"}),
    ],
)
def test_each_invalid_tag_is_reported_with_its_place(tags: tuple[str, ...], places: set[str]) -> None:
    assert broken_by(*tags) == places


def test_tags_at_the_limits_of_number_and_length_are_accepted() -> None:
    tags = tuple(f"{number:02}{'🌱' * (TAG_MAX - 2)}" for number in range(TAGS_MAX))

    assert TaskChanges(tags=tags).tags == tags


@given(st.text(min_size=1))
def test_the_key_of_a_key_is_that_key_and_spaces_around_a_tag_do_not_change_its_key(tag: str) -> None:
    assert tag_key(tag) == tag_key(tag_key(tag)) == tag_key(f" {tag} ")


@given(
    st.lists(st.text(min_size=1, max_size=5) | st.sampled_from("İiıI❤≠ßçΣς\u0338\u0307"), min_size=1),
    st.data(),
)
def test_all_spellings_of_a_tag_have_the_same_key_and_words(pieces: list[str], data: st.DataObject) -> None:
    tag = "".join(pieces)
    composed, decomposed = partial(normalize, "NFC"), partial(normalize, "NFD")
    spelling = st.sampled_from((composed, decomposed, lambda text: decomposed(text).casefold()))
    selector = st.sampled_from(("", "\ufe0e", "\ufe0f"))

    other = data.draw(spelling)("".join(piece + data.draw(selector) for piece in pieces))

    assert tag_key(other) == tag_key(tag)
    assert words(other) == words(tag)


@pytest.mark.parametrize(
    "pair", ["ı i", "é e", "🏴\U000e0067\U000e0062\U000e0065\U000e007f 🏴", "👩‍🚀 👩🚀", "½ 1⁄2"]
)
def test_letters_flags_emoji_and_fractions_that_differ_have_different_keys(pair: str) -> None:
    one, other = pair.split(" ")

    assert tag_key(one) != tag_key(other)
