"""A search text is only words: no character in it is syntax. `FOUND` has search texts and the tasks that each must find."""

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
    # syntax of other search engines
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
    # no word at all: the text itself is searched for
    "?": "marks",
    "?!": "marks",
    "...": "marks",
    "--": "marks sql",
    "!?": "",
}


@dataclass
class Searcher:
    """A person who has all tasks of `TASKS`."""

    owner: Person
    names: dict[str, str]  # in `TASKS`, by the id of the task

    async def found(self, query: str) -> set[str]:
        """Return the names of the tasks that a search finds."""
        response = await self.search(query)
        assert response.status_code == 200, response.text
        return {self.names[task["id"]] for task in response.json()}

    async def search(self, query: str) -> httpx.Response:
        return await self.owner.ask("GET", params={"q": query, "limit": "200"})


@pytest.fixture(scope="module")
async def searcher(people: People) -> Searcher:
    """A person with all tasks of `TASKS`. Another person has the same tasks, which must not be found."""
    ann, bob = people.one("ann"), people.one("bob")
    names = {}
    for name, (title, description) in TASKS.items():
        await bob.create(title, description=description)
        names[(await ann.create(title, description=description))["id"]] = name
    return Searcher(ann, names)


@pytest.mark.parametrize(("query", "expected"), FOUND.items())
async def test_a_search_finds_exactly_the_expected_tasks(
    searcher: Searcher, query: str, expected: str
) -> None:
    assert await searcher.found(query) == set(expected.split())


@pytest.mark.parametrize("query", ["x" * 10_000, "milk " * 2_000, "🌱" * 501, "%" * 10_000], ids=range(4))
async def test_a_search_text_of_more_than_500_characters_is_refused(searcher: Searcher, query: str) -> None:
    response = await searcher.search(query)

    assert response.status_code == 400
    assert response.json()["errors"] == [
        {"pointer": "/q", "detail": "must have at most 500 characters", "in": "query"}
    ]


async def test_a_search_finds_a_task_by_its_changed_words(searcher: Searcher) -> None:
    task = await searcher.owner.create("Unicorn", description="pony")
    searcher.names[task["id"]] = "new"

    before = [await searcher.found(query) for query in ("unicorn", "pony", "zebra")]
    await searcher.owner.ask("PATCH", task["id"], json={"title": "Zebra", "description": None})
    after = [await searcher.found(query) for query in ("unicorn", "pony", "zebra")]

    assert before == [{"new"}, {"new"}, set()]
    assert after == [set(), set(), {"new"}]
