"""Looking for words. What a person types is only ever words, never syntax."""

from dataclasses import dataclass
from typing import Final

from app.domain.text import UNSPACED, unstorable, words

SEARCH_MAX: Final = 500  # characters
SEARCH_WORDS_MAX: Final = 10  # different ones
SEARCH_WORD_MAX: Final = 40  # characters of each: looking for one costs its length for each letter of a text


@dataclass(frozen=True, slots=True)
class Search:
    """What must be found in a task: each needle in the words of its title or of its description.

    Words are as `app.domain.text.searchable` writes them, with spaces around. All must be there, in any
    order; the last may be the beginning of one; a run of a script without spaces may be a part of one.
    """

    needles: tuple[str, ...] = ()
    verbatim: str = ""  # where there is no word at all, as in `?!`: to be found as it stands

    @classmethod
    def parse(cls, text: str) -> "Search":
        """Read what was typed.

        Raises:
            ValueError: there is nothing to look for, or too much.

        """
        if len(text) > SEARCH_MAX:
            raise ValueError(f"must have at most {SEARCH_MAX} characters")
        for broken in unstorable("q", text):
            raise ValueError(broken.rule)
        if not text.strip():
            raise ValueError("must not be blank: leave it out to see all")
        if not (found := words(text)):
            return cls(verbatim=_short_enough(text.strip()))
        *whole, last = map(_short_enough, found)
        needles = {word if UNSPACED.match(word) else f" {word} " for word in whole}
        needles.add(last if UNSPACED.match(last) else f" {last}")
        if len(needles) > SEARCH_WORDS_MAX:
            raise ValueError(f"must have at most {SEARCH_WORDS_MAX} different words")
        return cls(tuple(sorted(needles, key=len, reverse=True)))  # the longest is the rarest, most likely


def _short_enough(word: str) -> str:
    if len(word) > SEARCH_WORD_MAX:
        raise ValueError(f"must have words of at most {SEARCH_WORD_MAX} characters")
    return word
