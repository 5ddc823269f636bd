"""Lists over HTTP: valid queries, cursors, and 304 for an unchanged list."""

from datetime import UTC
from string import ascii_letters
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.api.requests import cursors, list_query
from app.api.requests.list_query import read_list
from app.domain.task import TaskId
from app.domain.task_list import NEWEST, Bookmark, Order, Selection
from tests.support.factories import a_task_id, someone
from tests.support.people import People, Person
from tests.support.requests import task_request

pytestmark = pytest.mark.server

REFUSED = {
    "an unknown order": ("sort=size", {"/sort"}),
    "an order in capitals": ("sort=DUE", {"/sort"}),
    "an order with a plus": ("sort=%2Bdue", {"/sort"}),
    "two orders": ("sort=due&sort=title", {"/sort"}),
    "a number for a boolean": ("completed=1", {"/completed"}),
    "a boolean in capitals": ("trashed=True", {"/trashed"}),
    "an unknown priority": ("priority=urgent", {"/priority"}),
    "a priority twice": ("priority=low&priority=high", {"/priority"}),
    "a date for due": ("due=2026-01-01", {"/due"}),
    "a moment without an offset": ("due_before=2026-01-01T00:00:00", {"/due_before"}),
    "a plus that is a space": ("due_after=2026-01-01T00:00:00+01:00", {"/due_after"}),
    "a day that does not exist": ("updated_since=2026-02-30", {"/updated_since"}),
    "no due date and a time": ("due=none&due_before=2026-01-01&due_after=2026-01-01", {"/due"}),
    "a blank tag": ("tag=%20", {"/tag"}),
    "a long tag": (f"tag={'x' * 51}", {"/tag"}),
    "21 tags": ("&".join(f"tag={n}" for n in range(21)), {"/tag"}),
    "NUL in a tag": ("tag=a%00", {"/tag"}),
    "an empty search": ("q=", {"/q"}),
    "blank words": ("q=%20%09", {"/q"}),
    "NUL in words": ("q=a%00b", {"/q"}),
    "too long a search": (f"q={'x' * 501}", {"/q"}),
    "too many words": ("q=" + "+".join(f"w{n}" for n in range(11)), {"/q"}),
    "all at once": ("sort=x&completed=x&limit=0&owner=bob", {"/sort", "/completed", "/limit", "/owner"}),
}


@pytest.mark.parametrize(("query", "pointers"), REFUSED.values(), ids=REFUSED)
async def test_every_error_of_a_query_is_reported_with_its_place(
    people: People, query: str, pointers: set[str]
) -> None:
    response = await people.one().ask("GET", f"/api/me/tasks?{query}")

    errors = response.json()["errors"]
    assert response.status_code == 400
    assert {error["pointer"] for error in errors} == pointers
    assert {error["in"] for error in errors} == {"query"}


async def test_a_space_instead_of_a_plus_in_an_offset_gets_the_advice_to_send_percent_2b(
    people: People,
) -> None:
    response = await people.one().ask("GET", "/api/me/tasks?due_after=2026-01-01T00:00:00+01:00")

    assert "%2B" in response.json()["errors"][0]["detail"]


async def test_filters_order_and_search_words_can_be_combined_and_are_in_the_link(people: People) -> None:
    ann = people.one()
    for title, priority in (
        ("c milk", "high"),
        ("a milk", "high"),
        ("b milk", "high"),
        ("d milk", "low"),
        ("e", "high"),
    ):
        await ann.create(title, priority=priority, tags=["Über", "home"], due="2026-01-31")
    query = (
        "sort=title&priority=high&tag=%C3%9CBER&tag=Home&completed=false&q=MI"
        "&due_after=2026-01-30T23:59:59%2B00:00&due_before=2026-02-01&updated_since=2020-01-01&limit=1"
    )

    titles, path = [], f"/api/me/tasks?{query}"
    while path:
        response = await ann.ask("GET", path)
        assert response.status_code == 200, response.text
        titles += [task["title"] for task in response.json()]
        path = response.links.get("next", {}).get("url", "")

    assert titles == ["a milk", "b milk", "c milk"]


async def test_the_trash_is_listed_on_request(people: People) -> None:
    ann = people.one()
    task = await ann.create("gone")
    await ann.create("here")
    await ann.ask("DELETE", task["id"])

    trash = (await ann.ask("GET", params={"trashed": "true"})).json()

    assert [(found["title"], found["trashed_at"] is None) for found in trash] == [("gone", False)]
    assert await ann.titles() == ["here"]


async def cursor_of(person: Person, query: str = "") -> str:
    """Return the cursor of the second page of a list, whose first page has one task."""
    response = await person.ask("GET", f"/api/me/tasks?limit=1{query}")
    return parse_qs(urlsplit(response.links["next"]["url"]).query)["cursor"][0]


@pytest.mark.parametrize("sort", [order.value for order in Order])
async def test_a_cursor_is_valid_for_its_own_list_with_any_limit_and_for_no_other_list(
    people: People, sort: str
) -> None:
    ann, bob = people.one("ann"), people.one("bob")
    for person in (ann, bob):
        for number in range(3):
            await person.create(f"task {number}", due="2026-01-01")
    cursor = await cursor_of(ann, f"&sort={sort}&completed=false")
    right = {"sort": sort, "completed": "false", "cursor": cursor}

    good = await ann.ask("GET", "/api/me/tasks", params={**right, "limit": "2"})
    refused = [
        await bob.ask("GET", "/api/me/tasks", params={**right, "limit": "2"}),  # the same query
        *[
            await ann.ask("GET", "/api/me/tasks", params={**right, **other})
            for other in ({"sort": f"-{sort}"}, {"completed": "true"}, {"q": "task"}, {"trashed": "true"})
        ],
        await ann.ask("GET", "/api/me/tasks", params={"sort": sort, "cursor": cursor}),
    ]

    assert [task["title"] for task in good.json()] in (["task 1", "task 2"], ["task 1", "task 0"])
    assert [response.status_code for response in refused] == [400] * 6
    assert all(response.json()["errors"][0]["pointer"] == "/cursor" for response in refused)


def percent_encoded(text: str) -> bytes:
    return b"".join(b"%%%02x" % byte for byte in text.encode())


LONG_QUERY = b"%s=%s&%s=false&sort=%s&" % (
    percent_encoded("completed"),
    percent_encoded("false"),
    percent_encoded("trashed"),
    percent_encoded("-created"),
)


def test_only_short_queries_without_words_tags_or_times_are_cached_and_a_limited_number_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.api.requests.list_query.CACHED_MAX", 3)
    list_query._cached.clear()

    for limit in range(1, 9):
        read_list(task_request(query=b"limit=%d" % limit))  # only this query may be cached
        read_list(task_request(query=b"limit=%d&tag=private" % limit))
        read_list(task_request(query=b"limit=%d&q=private" % limit))
        read_list(task_request(query=b"limit=%d&updated_since=2026-01-01" % limit))
        read_list(task_request(query=b"&" * 95 + LONG_QUERY + b"limit=%d" % limit))

    assert 1 <= len(list_query._cached) <= 3
    assert not any(b"&" in query for query in list_query._cached)


async def test_a_cursor_is_valid_for_another_spelling_of_the_same_query(people: People) -> None:
    ann = people.one()
    for _ in range(2):
        await ann.create(tags=["a", "b"])
    cursor = await cursor_of(ann, "&tag=a&tag=b")

    response = await ann.ask("GET", f"/api/me/tasks?sort=-created&trashed=false&tag=B&tag=A&cursor={cursor}")

    assert (response.status_code, len(response.json())) == (200, 1)


async def test_a_cursor_of_a_tag_is_valid_for_another_spelling_of_the_tag(people: People) -> None:
    ann = people.one()
    for tag in ("\u2764", "\u2764\ufe0f"):
        await ann.create(tags=[tag, "İstanbul"])
    cursor = await cursor_of(ann, "&tag=\u2764\ufe0f&tag=istanbul")

    response = await ann.ask("GET", f"/api/me/tasks?tag=ISTANBUL&tag=\u2764&cursor={cursor}")

    assert (response.status_code, len(response.json())) == (200, 1)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_two_spellings_of_one_tag_in_one_body_are_refused_with_their_place(
    people: People, method: str
) -> None:
    ann = people.one()
    task = await ann.create(tags=["x"])
    path = "/api/me/tasks" if method == "POST" else f"/api/me/tasks/{task['id']}"

    response = await ann.ask(method, path, json={"title": "x", "tags": ["\u2764", "x", "\u2764\ufe0f"]})

    assert response.status_code == 400
    assert response.json()["detail"] == "tags/2: is the same tag as /tags/0"


async def test_a_cursor_with_one_changed_character_is_refused(people: People) -> None:
    ann = people.one()
    for _ in range(2):
        await ann.create("Zoë")
    cursor = await cursor_of(ann, "&sort=title")

    changes = [(place, "A" if cursor[place] != "A" else "B") for place in range(len(cursor) - 1)]
    changes += [(len(cursor) - 1, other) for other in ascii_letters if other != cursor[-1]]
    for place, other in changes:
        changed = cursor[:place] + other + cursor[place + 1 :]
        response = await ann.ask("GET", "/api/me/tasks", params={"sort": "title", "cursor": changed})
        assert response.status_code == 400, changed


async def test_the_longest_cursor_is_short_enough_for_any_url(people: People) -> None:
    ann = people.one()
    for _ in range(2):
        await ann.create("\U0001f331" * 255)

    cursor = await cursor_of(ann, "&sort=title")
    response = await ann.ask("GET", "/api/me/tasks", params={"sort": "title", "cursor": cursor})

    assert len(cursor) < 1500
    assert (response.status_code, len(response.json())) == (200, 1)


async def test_a_title_with_the_longest_sort_key_and_the_longest_user_id_can_be_stored(
    people: People,
) -> None:
    ann = people.one("\U0001f331" * 222)  # 255 characters with those that `someone` adds

    task = await ann.create("\U00012345\U0001d15e" * 100 + "\U0001f331" * 55)

    assert (await ann.ask("GET", "/api/me/tasks?sort=title")).json() == [task]


@given(
    number=st.sampled_from([0, 2**128 - 1, a_task_id().int]),
    key=st.none() | st.integers(0, 255) | st.text() | st.datetimes(timezones=st.just(UTC)),
    order=st.sampled_from(Order),
    descending=st.booleans(),
)
@example(number=1, key="\0", order=Order.TITLE, descending=False)
@example(number=1, key="\x7f" * 8, order=Order.UPDATED, descending=False)
@example(number=0, key=None, order=Order.CREATED, descending=True)
@example(number=2**128 - 1, key=None, order=Order.CREATED, descending=False)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_forged_cursor_is_refused_or_harmless(
    people: People,
    number: int,
    key: Any,
    order: Order,
    descending: bool,  # noqa: FBT001 - a parameter
) -> None:
    ann = people.one()
    selection = Selection(order=order, descending=descending)
    cursor = cursors.write(Bookmark(TaskId(UUID(int=number)), key), ann.user_id, selection)

    sort = f"{'-' if descending else ''}{order.value}"
    response = await ann.ask("GET", "/api/me/tasks", params={"sort": sort, "cursor": cursor})

    assert response.status_code in (200, 400)


@given(
    text=st.text(alphabet=st.characters(max_codepoint=127), min_size=1, max_size=80) | st.text(max_size=60)
)
def test_any_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cursor|belongs"):
        cursors.read(text, someone(), NEWEST)


async def test_an_unchanged_list_gets_304(people: People) -> None:
    ann = people.one()
    await ann.create("x")
    first = await ann.ask("GET")
    etag = first.headers["etag"]

    for known in (etag, f"W/{etag}", f'"a", {etag}', "*"):
        again = await ann.ask("GET", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    for other in ('"a"', etag.replace(".", ".1"), "nonsense", '""'):
        again = await ann.ask("GET", headers={"if-none-match": other})
        assert (again.status_code, again.headers["etag"]) == (200, etag)


async def test_any_change_of_the_list_changes_its_etag(people: People) -> None:
    ann = people.one()
    etags = [(await ann.ask("GET")).headers["etag"]]
    other = await ann.create("other")
    etags.append((await ann.ask("GET")).headers["etag"])
    task = await ann.create("x")
    etags.append((await ann.ask("GET")).headers["etag"])
    for method, path, body in (
        ("PUT", "", {"title": "y"}),
        ("PATCH", "", {"title": "z"}),
        ("PATCH", "/complete", None),
        ("POST", "/move", {"after": other["id"]}),
        ("DELETE", "", None),
        ("POST", "/restore", None),
        ("DELETE", "?permanent=true", None),
    ):
        arguments = {} if body is None else {"json": body}
        assert (await ann.ask(method, task["id"] + path, **arguments)).status_code < 300
        etags.append((await ann.ask("GET")).headers["etag"])

    assert len(set(etags)) == len(etags) == 10


async def test_an_etag_of_another_persons_list_never_gives_304(people: People) -> None:
    ann, bob = people.one("ann"), people.one("bob")
    for person in (ann, bob):
        await person.create("x")
    known = (await ann.ask("GET", "/api/me/tasks")).headers["etag"]

    response = await bob.ask("GET", "/api/me/tasks", headers={"if-none-match": known})

    assert response.status_code == 200


async def test_a_wrong_query_is_refused_even_if_if_none_match_matches(people: People) -> None:
    response = await people.one().ask("GET", "/api/me/tasks?x=1", headers={"if-none-match": "*"})

    assert response.status_code == 400


async def test_a_summary_counts_tasks_and_tags_with_and_without_a_time_zone(people: People) -> None:
    ann = people.one()
    await ann.create(tags=["Home"], due="1999-01-01")
    await ann.create(completed=True, tags=["home"])

    response = await ann.ask("GET", "summary?tz=Europe/Berlin")

    assert response.status_code == 200
    assert response.json() == {
        "open": 1,
        "done": 1,
        "overdue": 1,
        "due_today": 0,
        "tags": [{"tag": "Home", "open": 1, "done": 1}],
        "tags_left_out": 0,
    }
    assert (await ann.ask("GET", "summary")).json() == response.json()


@pytest.mark.parametrize(
    "tz",
    [
        "",
        "Mars/Olympus",
        "europe/berlin",
        "../etc/passwd",
        "/etc/localtime",
        "UTC+1",
        "posixrules",
        "a\0",
        "x" * 5000,
    ],
)
async def test_an_unknown_zone_is_refused(people: People, tz: str) -> None:
    response = await people.one().ask("GET", "/api/me/tasks/summary", params={"tz": tz})

    assert response.status_code == 400
    assert [(error["pointer"], error["in"]) for error in response.json()["errors"]] == [("/tz", "query")]


async def test_a_page_ends_at_1_mb_and_its_link_has_the_same_limit(people: People) -> None:
    ann, longest = people.one(), "𝄞 " * 5_000  # 25,000 bytes
    operations = [{"op": "create", "title": str(number), "description": longest} for number in range(60)]
    answer = await ann.ask("POST", "batch", json={"operations": operations})
    assert answer.status_code == 200

    path: str | None = "/api/me/tasks?limit=60&completed=false"
    titles, sizes = [], []
    while path is not None:
        page = await ann.ask("GET", path)
        titles += [task["title"] for task in page.json()]
        sizes.append(len(page.content))
        path = page.links["next"]["url"] if "next" in page.links else None
        assert path is None or "limit=60&" in path

    assert sorted(titles, key=int) == [str(number) for number in range(60)]
    assert len(sizes) > 1
    assert max(sizes) <= 1024 * 1024
