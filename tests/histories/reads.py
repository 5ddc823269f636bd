"""Reads in a random history, and requests that are repeated with their Idempotency-Key."""

import re
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.histories.history import SORTS, History, KeyedRequest, owners, picks
from tests.support.model import Json

filters = st.fixed_dictionaries(
    {},
    optional={
        "trashed": st.just("true"),
        "completed": st.sampled_from(["true", "false"]),
        "priority": st.sampled_from(["none", "low"]),
        "tag": st.sampled_from([["X"], ["y"], ["y", "x"]]),
        "due_before": st.sampled_from(["2026-01-02", "2026-01-31T00:00:00.000000Z"]),
        "due_after": st.just("2026-01-01"),
        "updated_since": st.just("2026-01-02T00:00:00.000000Z"),
        "q": st.sampled_from(["É", "plants wat", "green plan", "b"]),
    },
)

ID: Final = re.compile(r'"id":"([0-9a-f-]{36})"')  # of a task in a response
HEADERS = ("etag", "location", "content-type")
DIFFERENT_BODIES: dict[str, Json] = {  # by the path of the request; a completion gets the opposite value
    "": {"title": "another"},
    "batch": {"operations": [{"op": "create", "title": "another"}]},
}


class Reads(History):
    """Reads and repeated requests. Neither changes anything."""

    @rule(
        owner=owners,
        number=picks,
        kind=st.sampled_from([None, "current", "one of two", "*", "different", "weak"]),
    )
    def read(self, owner: str, number: int, kind: str | None) -> None:
        task_id, other = self.pick(owner, number), self.people["bob" if owner == "ann" else "ann"]
        refused = self.ask(owner, "GET", f"/api/{other.user_id}/tasks/{task_id}")
        assert refused.status_code == 403
        known = self.condition(owner, task_id, kind)
        answer = self.ask(owner, "GET", task_id, headers={"if-none-match": known} if known else {})
        if not (task := self.outcome(answer, lambda: self.models[owner].find(task_id))):
            return
        if kind in (None, "different"):
            self.check_task(answer, task)
        else:
            assert (answer.status_code, answer.content) == (304, b"")

    @rule(
        owner=owners,
        sort=st.sampled_from(SORTS),
        filters=filters,
        undated=st.booleans(),
        limit=st.integers(1, 3),
    )
    def walk(self, owner: str, sort: str, filters: Json, undated: bool, limit: int) -> None:  # noqa: FBT001
        if undated and not filters.keys() & {"due_before", "due_after"}:
            filters = {**filters, "due": "none"}
        answer = self.list_of(owner, **filters, sort=sort, limit=limit)
        met: list[Any] = answer.json()
        while following := answer.links.get("next"):
            assert len(answer.json()) == limit
            answer = self.ask(owner, "GET", following["url"])
            met += answer.json()
        assert met == self.models[owner].listed(sort, **filters), (sort, filters)

    @rule(owner=owners, zone=st.sampled_from(["UTC", "Pacific/Kiritimati", "Pacific/Honolulu"]))
    def summarize(self, owner: str, zone: str) -> None:
        answer = self.ask(owner, "GET", f"summary?tz={zone}")
        assert answer.json() == self.models[owner].summary(self.app.now, zone)

    @precondition(lambda self: self.keyed_requests)
    @rule(number=picks)
    def repeat(self, number: int) -> None:
        request = self.keyed_requests[number % len(self.keyed_requests)]
        first, again = request.answer, self.send_with_body(request, request.body)
        is_purged = not {*ID.findall(first.text)} <= self.models[request.owner].tasks.keys()
        if is_purged:  # a task of the response was deleted permanently
            assert (again.status_code, again.json()["type"]) == (410, "/problems/answer-gone")
            return
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert [again.headers.get(name) for name in HEADERS] == [first.headers.get(name) for name in HEADERS]
        assert again.headers["idempotency-replayed"] == "true"
        opposite = {"completed": request.body == {"completed": False}}
        refused = self.send_with_body(request, DIFFERENT_BODIES.get(request.path, opposite))
        assert (refused.status_code, refused.json()["type"]) == (422, "/problems/key-reused")

    def send_with_body(self, request: KeyedRequest, body: Json | None) -> Any:
        """Send a request again, with its key and this body."""
        headers = {"idempotency-key": request.key}
        return self.ask(request.owner, request.method, request.path, json=body, headers=headers)
