"""What every `TaskRepository` promises of lists, tested in memory and on PostgreSQL."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from app.domain.due import Due
from app.domain.position import Position
from app.domain.summary import SUMMARY_TAGS_MAX, Day, Summary, TagCount
from app.domain.tags import tag_key
from app.domain.task import Priority, Task, TaskChanges, TaskId
from app.domain.task_list import NEWEST, Bookmark, Order, Search, Selection
from app.domain.task_repository import TaskRepository
from app.infra.postgres.database import Database
from app.infra.tasks import NeonTaskRepository
from tests.contracts.conftest import RepositoryOf
from tests.support.expected_json import read
from tests.support.factories import MANY, TaskFactory, later, someone, task_made
from tests.support.fakes import MemoryStore, MemoryTaskRepository

# Five tasks, created in this order. `priority` is the number of a `Priority`, `updated` minutes after noon.
FIVE: dict[str, dict[str, Any]] = {
    "a": {"title": "émile", "priority": 1, "updated": 5, "due": None, "position": "c"},
    "b": {"title": "Zoe", "priority": 3, "updated": 3, "due": "2026-01-02", "position": "b"},
    "c": {"title": "eve", "priority": 1, "updated": 3, "due": "2026-01-01", "position": "e"},
    "d": {"title": "zoe", "priority": 0, "updated": 9, "due": "2026-01-02T01:00:00+01:00", "position": "a"},
    "e": {"title": "f", "priority": 2, "updated": 1, "due": None, "position": "d"},
}
# The names of the five tasks in each order, ascending and descending.
ORDERED = {
    (Order.CREATED, False): "abcde",
    (Order.CREATED, True): "edcba",
    (Order.UPDATED, False): "ebcad",
    (Order.UPDATED, True): "dacbe",
    (Order.DUE, False): "cbdae",
    (Order.DUE, True): "dbcea",
    (Order.PRIORITY, False): "daceb",
    (Order.PRIORITY, True): "becad",
    (Order.TITLE, False): "caebd",
    (Order.TITLE, True): "dbeac",
    (Order.POSITION, False): "dbaec",
    (Order.POSITION, True): "ceabd",
}
# Conditions, and the names of the tasks that match all of them.
SELECTED: list[tuple[dict[str, Any], str]] = [
    ({}, "edcba"),
    ({"completed": True}, "db"),
    ({"completed": False}, "eca"),
    ({"priority": Priority.LOW}, "ca"),
    ({"priority": Priority.NONE}, "d"),
    ({"tags": ("home",)}, "cba"),
    ({"tags": ("garden", "home")}, "b"),
    ({"tags": ("nowhere",)}, ""),
    ({"due_before": datetime(2026, 1, 2, tzinfo=UTC)}, "c"),
    ({"due_after": datetime(2026, 1, 1, tzinfo=UTC)}, "db"),
    ({"due_after": datetime(2026, 1, 2, tzinfo=UTC)}, ""),
    ({"without_due": True}, "ea"),
    ({"without_due": True, "order": Order.DUE}, "ea"),
    ({"due_before": datetime(2027, 1, 1, tzinfo=UTC), "order": Order.DUE}, "dbc"),
    ({"updated_since": later(3)}, "dcba"),
    ({"search": Search.parse("zo")}, "db"),
    ({"search": Search.parse("zoe about")}, "db"),
    ({"search": Search.parse("zo about")}, ""),
    ({"completed": False, "without_due": True, "tags": ("home",), "priority": Priority.LOW}, "a"),
]


async def add_five(mine: TaskRepository) -> dict[str, str]:
    """Add the tasks of `FIVE` in the order of `updated`. Return their names by id."""
    names = {}
    made = {name: task_made(minutes) for minutes, name in enumerate(FIVE)}
    for name, fields in sorted(FIVE.items(), key=lambda each: each[1]["updated"]):
        task = replace(
            made[name],
            title=fields["title"],
            description=f"about {name}",
            priority=Priority(fields["priority"]),
            due=fields["due"] and Due.parse(fields["due"]),
            updated_at=later(fields["updated"]),
            position=Position(fields["position"]),
            completed=name in "bd",
            tags={"a": ("HOME",), "b": ("Garden", "home"), "c": ("Home", "x")}.get(name, ()),
        )
        await mine.add(task, at_most=MANY)
        names[str(task.id)] = name
    return names


async def read_all_ids(mine: TaskRepository, selection: Selection, limit: int) -> list[str]:
    """Read a list page by page, and return the ids."""
    ids: list[str] = []
    after: Bookmark | None = None
    while True:
        page = await mine.page(limit, after=after, selection=selection)
        found = [task["id"] for task in read(page)]
        assert len(found) <= limit
        ids += found
        if (after := page.next) is None:
            return ids
        assert len(found) == limit


def test_every_order_of_a_list_is_tested_in_both_directions() -> None:
    assert set(ORDERED) == {(order, descending) for order in Order for descending in (False, True)}


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize(("order", "descending"), ORDERED)
async def test_a_list_in_any_order_is_the_same_in_pages_of_any_size(
    repository_of: RepositoryOf,
    order: Order,
    descending: bool,  # noqa: FBT001 - a parameter
    limit: int,
) -> None:
    mine = repository_of(someone())
    names = await add_five(mine)

    ids = await read_all_ids(mine, Selection(order=order, descending=descending), limit)

    assert "".join(names[task_id] for task_id in ids) == ORDERED[order, descending]


@pytest.mark.parametrize(("conditions", "expected"), SELECTED)
async def test_a_list_has_exactly_the_tasks_that_match_every_filter(
    repository_of: RepositoryOf, conditions: dict[str, Any], expected: str
) -> None:
    mine, theirs = repository_of(someone("ann")), repository_of(someone("bob"))
    names = await add_five(mine)
    await add_five(theirs)

    ids = await read_all_ids(mine, Selection(**conditions), 2)

    assert "".join(names[task_id] for task_id in ids) == expected


async def test_the_trash_is_a_list_of_its_own_in_any_order(repository_of: RepositoryOf) -> None:
    mine = repository_of(someone())
    names = await add_five(mine)
    for task_id, name in names.items():
        if name in "abd":
            await mine.trash(TaskId(UUID(task_id)), at=later(20))

    alive = await read_all_ids(mine, NEWEST, 1)
    orders = [order for order in Order if order is not Order.UPDATED]  # the move to the trash updates a task
    trashed = [await read_all_ids(mine, Selection(trashed=True, order=order), 1) for order in orders]

    assert "".join(map(names.get, alive)) == "ec"  # type: ignore[arg-type]  # `names` has every id
    assert [[names[task_id] for task_id in ids] for ids in trashed] == [
        [name for name in ORDERED[order, True] if name in "abd"] for order in orders
    ]
    assert all(
        task["trashed_at"] for task in read(await mine.page(9, after=None, selection=Selection(trashed=True)))
    )


async def test_a_paged_read_continues_after_a_task_that_was_moved_or_deleted(
    repository_of: RepositoryOf,
) -> None:
    mine = repository_of(someone())
    names = await add_five(mine)
    by_title = Selection(order=Order.TITLE, descending=False)
    first = await mine.page(2, after=None, selection=by_title)
    assert first.next is not None

    await mine.change(first.next.id, TaskChanges(title="zzz"), at=later(30))
    moved = await mine.page(9, after=first.next, selection=by_title)
    await mine.purge(first.next.id)
    gone = await mine.page(9, after=first.next, selection=by_title)

    assert [names[task["id"]] for task in read(moved)] == ["e", "b", "d", "a"]
    assert [names[task["id"]] for task in read(gone)] == ["e", "b", "d"]


@pytest.mark.server
async def test_postgresql_and_memory_return_the_same_list_for_any_query(database: Database) -> None:
    dice = random.Random(20260101)
    owner = someone()
    store = MemoryStore()
    neon = NeonTaskRepository(database, owner=owner)
    both: list[TaskRepository] = [MemoryTaskRepository(owner, store), neon]
    await neon.add(first := a_task(80, dice), at_most=MANY)
    store.revisions[owner] = await neon.revision() - 1  # PostgreSQL takes the first revision from its clock
    await both[0].add(first, at_most=MANY)
    for number in range(80):
        task = a_task(number, dice)
        for repository in both:
            await repository.add(task, at_most=MANY)
            if number % 7 == 0:
                await repository.trash(task.id, at=later(number))

    for _ in range(150):
        selection, limit = a_selection(dice), dice.choice([1, 3, 10, 200])
        after: Bookmark | None = None
        for _ in range(4):
            pages = [await repository.page(limit, after=after, selection=selection) for repository in both]
            assert pages[0] == pages[1], selection
            if (after := pages[0].next) is None:
                break


def a_task(number: int, dice: random.Random) -> Task:
    """Generate a task."""
    dues = [
        None,
        *map(Due.parse, ("2026-01-01", "2026-01-01T00:00:00Z", "2026-01-02", "2025-12-31T23:30:00Z")),
    ]
    titles = (
        "Water the plants",
        "water",
        "Éclair",
        "eclair",
        "日本へ行く",
        "Straße 5",
        "?!",
        "ﬁx İt",
        "a\U0001f331b",
    )
    return replace(
        task_made(number),
        title=dice.choice(titles),
        description=dice.choice([None, "plants and 日本", "don't"]),
        completed=dice.random() < 0.3,
        due=dice.choice(dues),
        priority=dice.choice(list(Priority)),
        tags=tuple(dice.sample(["home", "Garden", "Ärger"], dice.randrange(4))),
        position=Position(dice.choice("abcXYZ") + "1"),
        updated_at=later(dice.randrange(5)),
    )


def a_selection(dice: random.Random) -> Selection:
    """Generate a query; each condition is left out four times in five."""
    filters: dict[str, Any] = {
        "completed": [True, False],
        "priority": list(Priority),
        "tags": [("home",), tuple(sorted((tag_key("ärger"), "home")))],
        "due_before": [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)],
        "due_after": [datetime(2025, 12, 31, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)],
        "without_due": [True],
        "updated_since": [later(2)],
        "search": [
            Search.parse(q) for q in ("wat", "plants water", "日", "本 へ", "strasse", "?", "ecl", "fix it")
        ],
        "trashed": [True],
    }
    chosen = {name: dice.choice(values) for name, values in filters.items() if dice.random() < 0.2}
    return Selection(order=dice.choice(list(Order)), descending=dice.random() < 0.5, **chosen)


async def test_a_summary_counts_dates_in_the_persons_time_zone_and_times_as_instants(
    repository_of: RepositoryOf,
) -> None:
    mine, theirs = repository_of(someone("ann")), repository_of(someone("bob"))
    await add_tasks(
        mine,
        ("2026-03-28", ("Home",), False),
        ("2026-03-29", ("home", "x"), False),
        ("2026-03-29", (), True),
        ("2026-03-30", (), False),
        ("2026-03-28T22:59:59Z", (), False),  # 28 March in Berlin: not yet today
        ("2026-03-28T23:00:00Z", (), False),  # the first moment of today
        ("2026-03-29T21:59:59Z", (), False),  # the last moment of today, which has 23 hours
        ("2026-03-29T22:00:00Z", (), False),
        (None, ("HOME",), True),
    )
    await add_tasks(theirs, ("2026-03-29", ("theirs",), False))
    gone = task_made(50)
    await mine.add(replace(gone, due=Due.parse("2026-03-29"), tags=("gone",)), at_most=MANY)
    await mine.trash(gone.id, at=later(51))

    noon = datetime(2026, 3, 29, 10, tzinfo=UTC)
    berlin = await mine.summary(Day.at(noon, ZoneInfo("Europe/Berlin")))
    kiritimati = await mine.summary(Day.at(noon, ZoneInfo("Pacific/Kiritimati")))  # 30 March, 0 h

    tags = (TagCount("HOME", open=2, done=1), TagCount("x", open=1, done=0))
    assert berlin == Summary(open=7, done=2, overdue=3, due_today=3, tags=tags, tags_left_out=0)
    assert kiritimati == Summary(open=7, done=2, overdue=4, due_today=3, tags=tags, tags_left_out=0)


async def test_all_spellings_of_a_tag_are_one_tag_in_filters_and_in_the_summary(
    repository_of: RepositoryOf,
) -> None:
    mine = repository_of(someone())
    tags = (("\u2764\ufe0f", "İstanbul"), ("\u2764", "istanbul"), ("ISTANBUL", "=\u0338"), ("≠",))
    await add_tasks(mine, *((None, each, True) for each in tags))
    for title in ("1 ≠ 2", "1 =\u0338 2", "1 = 2"):
        await mine.add(TaskFactory.build(title=title, description=None), at_most=MANY)

    found = {
        tag: len(read(await mine.page(9, after=None, selection=Selection(tags=(tag_key(tag),)))))
        for tag in ("\u2764", "\u2764\ufe0f", "istanbul", "İSTANBUL", "≠", "=\u0338")
    }
    searched = [
        len(read(await mine.page(9, after=None, selection=Selection(search=Search.parse(word)))))
        for word in ("≠", "=\u0338")
    ]

    assert found == dict(zip(found, (2, 2, 3, 3, 2, 2), strict=True))
    assert searched == [2, 2]
    counted = (await mine.summary(Day.at(later(0), ZoneInfo("UTC")))).tags
    assert [(each.tag, each.done) for each in counted] == [("ISTANBUL", 3), ("=\u0338", 2), ("\u2764", 2)]


async def test_a_summary_lists_the_thousand_tags_with_the_most_open_tasks_and_counts_the_rest(
    repository_of: RepositoryOf,
) -> None:
    mine = repository_of(someone())
    names = [f"tag {number:04}" for number in range(SUMMARY_TAGS_MAX + 20)]
    for begin in range(0, len(names), 20):
        await add_tasks(mine, (None, tuple(names[begin : begin + 20]), False))
    await add_tasks(mine, (None, (names[-1], "of done tasks"), True), (None, (names[-2],), False))

    summary = await mine.summary(Day.at(later(0), ZoneInfo("UTC")))

    listed = [each.tag for each in summary.tags]
    assert listed == [*names[: SUMMARY_TAGS_MAX - 2], *names[-2:]]
    assert summary.tags_left_out == 21


async def test_a_summary_of_an_empty_list_has_zero_counts(repository_of: RepositoryOf) -> None:
    mine = repository_of(someone())

    assert await mine.revision() == 0
    assert await mine.summary(Day.at(later(0), ZoneInfo("UTC"))) == Summary(
        open=0, done=0, overdue=0, due_today=0, tags=(), tags_left_out=0
    )


async def add_tasks(mine: TaskRepository, *tasks: tuple[str | None, tuple[str, ...], bool]) -> None:
    """Add tasks with these due dates and tags; the third value says whether the task is completed."""
    for due, tags, completed in tasks:
        task = TaskFactory.build(due=due and Due.parse(due), tags=tags, completed=completed)
        await mine.add(task, at_most=MANY)
