"""Words, searches and sort keys of any text."""

import sys
from unicodedata import category, normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.task_list import SEARCH_WORDS_MAX, Search
from app.domain.text import SORT_KEY_MAX, UNSPACED, searchable, sort_key, words

SCRIPTS = "aZéßİıſﬁＡ１ ½٣'’-_.|+*%€™🌱❤️👩‍🚀\u0301\u0307\u00ad\u200bñ̃ΣςЖ日本ーｶﾞ한ไนม؟ابج ן\n\t"
texts = st.text(max_size=40) | st.text(alphabet=SCRIPTS, max_size=40)


def finds(search: Search, title: str) -> bool:
    """Return whether a search finds a title, by the rules of the SQL."""
    if search.verbatim:
        return search.verbatim in title
    return all(needle in searchable(title) for needle in search.needles)


@given(texts)
def test_each_part_of_a_title_between_spaces_finds_the_title(title: str) -> None:
    for piece in title.split()[:SEARCH_WORDS_MAX]:
        assert finds(_search(piece), title), piece


@given(texts)
def test_all_words_of_a_title_in_any_order_find_the_title(title: str) -> None:
    found = list(dict.fromkeys(words(title)))[: SEARCH_WORDS_MAX - 1]

    if found:
        assert finds(_search(" ".join(reversed(found))), title)


@given(texts)
def test_any_beginning_of_a_word_finds_the_title(title: str) -> None:
    for word in words(title)[:SEARCH_WORDS_MAX]:
        for length in range(1, len(word) + 1):
            if words(word[:length]) == [word[:length]]:  # a mark that lost its letter may be no word
                assert finds(_search(word[:length]), title)


@given(texts)
def test_splitting_words_again_or_in_another_normal_form_gives_the_same_words(text: str) -> None:
    found = words(text)

    assert words(" ".join(found)) == found
    assert words(normalize("NFC", text)) == words(normalize("NFD", text)) == found
    if not any(category(character)[0] == "S" for character in text):  # NFKC makes some a space and a mark (¨)
        assert words(normalize("NFKC", text)) == words(normalize("NFKD", text)) == found


def test_splitting_the_words_of_each_character_again_gives_the_same_words() -> None:
    for character in map(chr, range(sys.maxunicode + 1)):
        found = words(character)
        assert found in ([], [character]) or words(" ".join(found)) == found, hex(ord(character))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't l’eau", "don t l eau"),
        ("ann@example.com snake_case re-do", "ann example com snake case re do"),
        ("C++ a|b 5<6 ~", "c a b 5 6"),
        ("a≠b =\u0338 =\u034f\u0338", "a ≠ b ≠ ≠"),
        ("🌱🌱 €5 ❤️ 👩‍🚀", "🌱 🌱 € 5 ❤ 👩 🚀"),
        ("STRASSE Straße ΣΑΣ", "strasse strasse σασ"),
        ("İ I ı \u0130\u0307x", "i i ı ix"),
        ("ﬁ ＡＢ１ ⓐ Ⅳ ½ ™", "fi ab1 a iv 1 ⁄ 2 tm"),
        ("東京2026tower", "東京 2026tower"),
        ("co\u00adop می\u200cخواهم a\ufeffb", "coop میخواهم ab"),
        ("e\u0301 한국어 ภาษาไทย", "é 한국어 ภาษาไทย"),
        ("?! -- … ' \"", ""),
    ],
)
def test_a_text_is_split_into_the_expected_words(text: str, expected: str) -> None:
    assert words(text) == expected.split()


@given(st.text(max_size=300))
def test_a_sort_key_is_short_and_ignores_case(text: str) -> None:
    key = sort_key(text)

    assert len(key) <= SORT_KEY_MAX
    assert sort_key(text.upper().casefold()) == sort_key(text.upper())


def test_an_unspaced_word_matches_anywhere_and_only_the_last_search_word_matches_as_a_prefix() -> None:
    assert set(Search.parse("buy 東京 mil").needles) == {" buy ", "東京", " mil"}
    assert UNSPACED.match("東京")
    assert Search.parse("?!").verbatim == "?!"


def _search(text: str) -> Search:
    """Parse a search text. A text that is refused gives a search that finds everything."""
    try:
        return Search.parse(text)
    except ValueError as refused:
        reasons = ("control character", "surrogate", "combining marks", "at most")
        assert any(reason in str(refused) for reason in reasons), refused  # noqa: PT017 - the reasons for which a search is refused
        return Search()
