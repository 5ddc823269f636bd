"""What all histories have in common: two people, a model of each one's tasks, and a comparison after every step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlencode
from uuid import uuid4

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from app.domain.clock import to_rfc3339
from tests.histories.sync_app import TASKS_MAX, SyncApp
from tests.support.factories import a_task_id
from tests.support.model import ORDERS, REFUSALS, Json, Model, Refusal
from tests.support.people import People, Person

T = TypeVar("T")

ABSENT = str(a_task_id())
SORTS = [sign + order for order in ORDERS for sign in ("", "-")]

owners = st.sampled_from(["ann", "bob"])
picks = st.integers(0, 12)  # numbers for `History.pick`
# Kinds of `If-Match` for `History.condition`.
conditions = st.sampled_from([None, None, None, "current", "one of two", "*", "different", "weak"])
TITLES = ("a", "B", "é", "water the plants")
VALUES: Mapping[str, Sequence[object]] = {
    "title": TITLES,
    "description": (None, "plants are green"),
    "completed": (True, True, False),
    "due": (None, "2026-01-01", "2026-01-01T00:00:00.000000Z", "2026-01-02T10:00:00.500000Z", "2026-01-31"),
    "priority": ("none", "low", "high"),
    "tags": ([], ["x"], ["X"], ["X", "y"]),
}
one_field = st.sampled_from([(name, value) for name, values in VALUES.items() for value in values])
fields = st.lists(one_field, max_size=4).map(dict)
# At least half of the edits complete the task: then the service also sets `completed_at`.
edits = fields | fields.map(lambda sent: {**sent, "completed": True, "title": "completed again"})
new_tasks = st.tuples(st.sampled_from(TITLES), fields).map(lambda sent: {**sent[1], "title": sent[0]})


def new_key(*, keyed: bool) -> str | None:
    """Return a new Idempotency-Key; None if the request has none."""
    return f'"{uuid4()}"' if keyed else None


@dataclass
class KeyedRequest:
    """A request with an Idempotency-Key, and its first response."""

    owner: str
    method: str
    path: str
    key: str
    body: Json | None
    answer: httpx.Response


class History(RuleBasedStateMachine):
    """Two people and their models. Each rule of a subclass does the same to the service and to a model."""

    app: ClassVar[SyncApp]

    def __init__(self) -> None:
        super().__init__()
        people = People(self.app.client)
        self.people: dict[str, Person] = {name: people.one(name) for name in ("ann", "bob")}
        self.models = {name: Model(TASKS_MAX) for name in self.people}
        # By owner: the entity tag of the last list, and the model's number of changes then.
        self.etags: dict[str, tuple[str, int]] = {}
        self.keyed_requests: list[KeyedRequest] = []
        self.step = 0  # counts the invariant's checks; each one compares a list in another order

    def ask(self, owner: str, method: str, path: str = "", **more: Any) -> Any:
        """Send a request. If `if_match`, `key` or `json` is None, the request goes without this header or body.

        A request with a key that succeeds is remembered with its response.
        """
        body, key, if_match = more.pop("json", None), more.pop("key", None), more.pop("if_match", None)
        headers = dict(more.pop("headers", {}))
        if if_match is not None:
            headers["if-match"] = if_match
        if key is not None:
            headers["idempotency-key"] = key
        if body is not None:
            more["json"] = body
        answer = self.app.wait_for(self.people[owner].ask(method, path, headers=headers, **more))
        if key is not None and answer.is_success:
            self.keyed_requests.append(KeyedRequest(owner, method, path, key, body, answer))
        return answer

    def list_of(self, owner: str, **parameters: Any) -> Any:
        """Return the response to a list of at most 200 tasks with these parameters."""
        query = urlencode({"limit": 200, **parameters}, doseq=True)
        return self.ask(owner, "GET", f"?{query}")

    def tick(self) -> str:
        """Advance the clock by a second, and return the new time."""
        self.app.now += timedelta(seconds=1)
        return to_rfc3339(self.app.now)

    def pick(self, owner: str, number: int, *, trashed: bool = False) -> str:
        """Return the id of a task, mostly of the owner's list (or trash, if `trashed`).

        Otherwise it is of the owner's trash (or list), of the other person, or of nobody.
        """
        mine, other = self.models[owner], self.models["bob" if owner == "ann" else "ann"]
        right, wrong = (mine.manual_order(trashed=str(where).lower()) for where in (trashed, not trashed))
        ids = right if right and number < 10 else [*wrong, *other.manual_order()[:1], ABSENT]
        return ids[number % len(ids)]

    def condition(self, owner: str, task_id: str, kind: str | None) -> str | None:
        """Return the value of this kind for `If-Match`, or for `If-None-Match` of a read; None: no header."""
        version = self.models[owner].tasks.get(task_id, {"version": 1})["version"]
        etags = {
            "current": f'"{version}"',
            "one of two": f'"x", "{version}"',
            "different": f'"{version + 1}"',
            "weak": f'W/"{version}"',
        }
        return etags.get(kind or "", kind)

    def check_task(self, answer: httpx.Response, expected: Json) -> None:
        assert answer.status_code in (200, 201), answer.text
        assert answer.json() == expected
        assert answer.headers["etag"] == f'"{expected["version"]}"'

    def outcome(self, answer: httpx.Response, expected: Callable[[], T]) -> T | None:
        """Return what the model returns; None if the model and the service refuse the request alike."""
        try:
            found = expected()
        except Refusal as refusal:
            self.check_refusal(answer, refusal)
            return None
        assert answer.is_success or answer.status_code in (304, 400), answer.text
        return found

    def check_refusal(self, answer: httpx.Response, refusal: Refusal) -> None:
        assert answer.status_code == REFUSALS[refusal.kind], answer.text
        assert answer.json()["type"] == f"/problems/{refusal.kind}"

    @invariant()
    def every_list_is_what_the_model_says(self) -> None:
        self.step += 1
        for place, (owner, model) in enumerate(self.models.items()):
            trashed_number, sort_number = divmod(self.step + place, len(SORTS))
            sort, trashed = SORTS[sort_number], ("false", "true")[trashed_number % 2]
            answer = self.list_of(owner, sort=sort, trashed=trashed)
            assert answer.json() == model.listed(sort, trashed=trashed), (sort, trashed)
            etag, changes = answer.headers["etag"], model.changes
            known, then = self.etags.get(owner, (etag, changes))
            assert (etag == known) == (changes == then)
            self.etags[owner] = (etag, changes)
