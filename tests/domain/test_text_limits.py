"""Limits of a text, and the cost of validating one."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.summary import zone_of
from app.domain.task import DESCRIPTION_MAX, broken_rules
from app.domain.task_list import SEARCH_WORD_MAX, SEARCH_WORDS_MAX, Search
from app.domain.text import _SPACING, MARKS_MAX, broken_text_rules, is_blank, words

ACUTE, CEDILLA = "\u0301", "\u0327"


def rules_of(**values: object) -> dict[str, str]:
    """Return the broken rule of each invalid field."""
    return {broken.field: broken.rule for broken in broken_rules(values)}


@pytest.mark.parametrize("field", ["title", "description", "tags"])
def test_more_than_30_combining_marks_in_a_row_are_refused_and_30_are_not(field: str) -> None:
    def value(marks: int) -> object:
        text = "a" + (ACUTE + CEDILLA) * (marks // 2) + ACUTE * (marks % 2)
        return [text] if field == "tags" else text

    assert rules_of(**{field: value(MARKS_MAX)}) == {}
    assert "more than 30 combining marks" in "".join(rules_of(**{field: value(MARKS_MAX + 1)}).values())


def test_each_character_with_a_combining_class_counts_as_a_mark() -> None:
    marks = [chr(code) for code in range(0x110000) if unicodedata.combining(chr(code))]

    missed = [
        mark
        for mark in marks
        if not list(broken_text_rules("x", mark * 31, at_most=99, normalized_at_most=999))
    ]

    assert missed == []


@pytest.mark.parametrize("code", [*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20)])
def test_control_characters_except_tab_and_line_breaks_are_refused(code: int) -> None:
    rules = rules_of(title=f"a{chr(code)}b", description=f"a{chr(code)}b", tags=[f"a{chr(code)}b"])

    assert set(rules) == {"title", "description", "tags/0"}
    assert all(f"U+{code:04X}" in rule for rule in rules.values())


def test_tab_line_feed_and_carriage_return_are_kept() -> None:
    assert rules_of(title="a\tb", description="a\tb\r\nc\rd") == {}


@pytest.mark.parametrize(
    "text", ["", "  ", "\u200b", "\u3164\u115f", "\u2800 \u2800", "\ufe0f", "\u00a0\u2003"]
)
def test_a_title_without_a_visible_character_is_blank(text: str) -> None:
    assert is_blank(text)
    assert rules_of(title=text) == {"title": "must not be blank"}


def test_a_title_of_any_default_ignorable_code_point_is_blank() -> None:
    ranges = (  # of DerivedCoreProperties.txt in Unicode's character database
        "00AD 034F 061C 115F-1160 17B4-17B5 180B-180D 180E 180F 200B-200F 202A-202E 2060-2064 2065 2066-206F 3164 "
        "FE00-FE0F FEFF FFA0 FFF0-FFF8 1BCA0-1BCA3 1D173-1D17A E0000 E0001 E0002-E001F E0020-E007F E0080-E00FF "
        "E0100-E01EF E01F0-E0FFF"
    )
    bounds = [[int(bound, 16) for bound in each.split("-")] for each in ranges.split()]
    codes = [code for first, *last in bounds for code in range(first, (last or [first])[0] + 1)]

    assert len(codes) == 4_174  # the number in that file
    assert [hex(code) for code in codes if not is_blank(chr(code))] == []
    assert rules_of(title="\u17b4\u2065\ufff0\U000e0fff") == {"title": "must not be blank"}


@given(
    st.text(
        st.characters(categories=["L", "N", "P", "S"], exclude_characters="\u2800\u115f\u1160\u3164\uffa0"),
        min_size=1,
    )
)
def test_a_text_with_a_letter_or_symbol_is_not_blank(text: str) -> None:
    assert not is_blank(text)


def test_a_text_that_grows_too_much_in_normal_form_is_refused() -> None:
    salutation = "\ufdfa"  # one character, 18 in normal form KC

    assert "normal form KC" in rules_of(description=salutation * 2_000)["description"]
    assert rules_of(description=f"{salutation} and more") == {}


@pytest.mark.parametrize(
    ("unit", "length"),
    [
        ("\ufdfa", 18),
        ("\ufb03", 3),  # a ligature of three letters
        # The marks compose with the letter, also where two pieces of the text meet.
        ("e" * 127 + "e\u0323\u0302\u0301", 129),
        ("\u1100\u1161\u11a8", 1),  # a Hangul syllable
    ],
)
def test_the_limit_of_the_normal_form_is_exact(unit: str, length: int) -> None:
    text = unit * 20

    bounds = {
        bound: any(True for _ in broken_text_rules("x", text, at_most=10**6, normalized_at_most=bound))
        for bound in (20 * length - 1, 20 * length)
    }

    assert len(unicodedata.normalize("NFKC", text)) == 20 * length
    assert bounds == {20 * length - 1: True, 20 * length: False}


def cost(description: str) -> float:
    """Return the least CPU seconds of five validations."""
    times = []
    for _ in range(5):
        began = time.process_time()
        rules_of(description=description)
        times.append(time.process_time() - began)
    return min(times)


def test_a_text_that_grows_eighteenfold_is_not_normalized_to_its_end() -> None:
    longest, fifth = "\ufdfa" * DESCRIPTION_MAX, "\ufdfa" * (DESCRIPTION_MAX // 5)

    for text in (longest, fifth):
        assert "normal form KC" in rules_of(description=text)["description"]
    assert cost(longest) < 3 * cost(fifth)


@pytest.mark.parametrize("field", ["title", "description", "tags"])
@pytest.mark.parametrize("text", [ACUTE + CEDILLA, "\ufdfa", "\x00", "\ud800", " "])
def test_a_text_of_more_than_200_000_characters_is_refused_because_of_its_length(
    field: str, text: str
) -> None:
    huge = "a" + text * 200_000 + "a"
    began = time.process_time()

    rules = rules_of(**{field: [huge] if field == "tags" else huge})

    assert "must have at most" in "".join(rules.values())
    assert time.process_time() - began < 1  # sorting the marks first would take half a minute


def test_the_longest_description_takes_at_most_50_times_longer_with_marks_than_with_letters() -> None:
    letters = "ä" * DESCRIPTION_MAX
    marks = ("a" + ACUTE + CEDILLA) * (DESCRIPTION_MAX // 3)

    assert cost(marks) < 50 * cost(letters) + 0.02  # seconds that a measurement may be off


def test_a_search_has_at_most_10_words_of_at_most_40_characters() -> None:
    longest = [f"{number:02}" + "x" * (SEARCH_WORD_MAX - 2) for number in range(SEARCH_WORDS_MAX)]
    assert len(Search.parse(" ".join(longest)).needles) == SEARCH_WORDS_MAX

    for text in (" ".join([*longest, "y"]), "x" * (SEARCH_WORD_MAX + 1), "?" * (SEARCH_WORD_MAX + 1)):
        with pytest.raises(ValueError, match="at most"):
            Search.parse(text)


@pytest.mark.parametrize("name", ["localtime", "Factory"])
def test_a_time_zone_without_a_place_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="time zone"):
        zone_of(name)


def test_the_table_of_characters_between_words_keeps_no_unassigned_or_private_use_character() -> None:
    words("".join(map(chr, range(0x20, 0x110000, 7))).encode("utf-8", "ignore").decode())

    assert all(unicodedata.category(chr(code)) not in ("Cn", "Co") for code in _SPACING)
