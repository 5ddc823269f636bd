"""Searching: what is typed is only ever words, whatever it looks like. Each input with what it must find."""

from dataclasses import dataclass

import httpx
import pytest

from tests.support.people import People, Person

pytestmark = pytest.mark.server

TASKS: dict[str, tuple[str, str | None]] = {
    "milk": ("Buy milk and eggs", "from the farmer, 2 litres"),
    "call": ("Call O'Brien", "about the don't-care bits (ann@example.com)"),
    "cafe": ("Café at Zürich Straße 12", None),
    "percent": ("50% off: snake_case", r"C:\temp\*.txt"),
    "plant": ("🌱 Water the plants", "the fern\ntoo ❤️"),
    "hebrew": ("לקנות חלב", None),
    "arabic": ("شراء الحليب", None),
    "beijing": ("去北京大学 meeting", None),
    "tokyo": ("東京タワーへ行く", "ｶﾀｶﾅ"),
    "thai": ("ซื้อนมสด", None),
    "korean": ("우유 사기", None),
    "turkish": ("İSTANBUL'a git", None),
    "marks": ("?!", "-- ... --"),
    "full": ("ＦＵＬＬ ﬁle №7", None),
    "sql": ("'; DROP TABLE tasks; --", "SELECT * OR 1=1"),
    "operator": ("and not or", None),
}
FOUND: dict[str, str] = {
    # words: all of them, anywhere, in any order, the last as a prefix
    "milk": "milk",
    "MILK eggs": "milk",
    "eggs buy": "milk",
    "mil": "milk",
    "mil eggs": "",
    "ilk": "",
    "milk farm": "milk",  # one in the title, one in the description
    "milk fern": "",
    "m": "milk beijing",
    "  milk \t egg  ": "milk",
    "milk milk milk milk milk milk milk milk milk milk milk milk milk milk milk milk milk milk milk milk mi": "milk",
    # what is syntax elsewhere
    "milk & eggs": "milk",
    "milk | eggs": "milk",
    "milk | call": "",
    "!milk": "milk",
    "-milk": "milk",
    "milk:*": "milk",
    "mi* eggs": "",
    '"eggs milk"': "milk",
    "(milk": "milk",
    "milk <-> eggs": "milk",
    "title:milk": "",
    "not and or": "operator",
    "and": "milk operator",
    "'; DROP TABLE": "sql",
    "1=1": "sql",
    # wildcards and escapes
    "%": "percent",
    "_": "percent",
    "50% off": "percent",
    "m_lk": "",
    "%milk%": "milk",
    "\\": "percent",
    "c:\\temp": "percent",
    "*": "percent sql",
    # apostrophes and addresses
    "o'brien": "call",
    "O’BRIEN": "call",
    "don't": "call",
    "ann@example.com": "call",
    "snake_case": "percent",
    # case, accents, compatible forms
    "cafe\u0301": "cafe",
    "CAFÉ": "cafe",
    "cafe": "",  # whether é is an e depends on the language
    "zürich STRASSE": "cafe",
    "full file no 7": "full",
    "istanbul": "turkish",
    # emoji: variation selectors are ignored
    "🌱": "plant",
    "❤": "plant",
    "❤️ plants": "plant",
    # right to left
    "חלב": "hebrew",
    "الحليب شراء": "arabic",
    # scripts without spaces: anywhere
    "北京": "beijing",
    "大学 meet": "beijing",
    "京": "beijing tokyo",
    "京大": "beijing",
    "カタカナ": "tokyo",
    "タワー": "tokyo",
    "นม": "thai",
    # Hangul has spaces
    "우유 사": "korean",
    # no word at all: as it stands
    "?": "marks",
    "?!": "marks",
    "...": "marks",
    "--": "marks sql",
    "!?": "",
}


@dataclass
class Library:
    """Somebody who has all these tasks."""

    owner: Person
    names: dict[str, str]

    async def found(self, query: str) -> set[str]:
        response = await self.search(query)
        assert response.status_code == 200, response.text
        return {self.names[task["id"]] for task in response.json()}

    async def search(self, query: str) -> httpx.Response:
        return await self.owner.ask("GET", params={"q": query, "limit": "200"})


@pytest.fixture(scope="module")
async def library(people: People) -> Library:
    """One person with all tasks of the table, and another who has the same."""
    ann, bob = people.one("ann"), people.one("bob")
    names = {}
    for name, (title, description) in TASKS.items():
        await bob.create(title, description=description)
        names[(await ann.create(title, description=description))["id"]] = name
    return Library(ann, names)


@pytest.mark.parametrize(("query", "expected"), FOUND.items())
async def test_a_search_finds_the_expected_titles(library: Library, query: str, expected: str) -> None:
    assert await library.found(query) == set(expected.split())


@pytest.mark.parametrize("query", ["x" * 10_000, "milk " * 2_000, "🌱" * 501, "%" * 10_000], ids=range(4))
async def test_a_search_of_ten_thousand_characters_is_refused_at_once(library: Library, query: str) -> None:
    response = await library.search(query)

    assert response.status_code == 400
    assert response.json()["errors"] == [
        {"pointer": "/q", "detail": "must have at most 500 characters", "in": "query"}
    ]


async def test_a_search_finds_a_task_by_its_changed_words(library: Library) -> None:
    task = await library.owner.create("Unicorn", description="pony")
    library.names[task["id"]] = "new"

    before = [await library.found(query) for query in ("unicorn", "pony", "zebra")]
    await library.owner.ask("PATCH", task["id"], json={"title": "Zebra", "description": None})
    after = [await library.found(query) for query in ("unicorn", "pony", "zebra")]

    assert before == [{"new"}, {"new"}, set()]
    assert after == [set(), set(), {"new"}]
