"""Random histories by two owners: the service and a simple model, side by side, agree after every step.

How it was seen to find faults: see `docs/decisions/0008-histories.md`.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from app.composition import compose
from app.domain.moments import written
from app.settings import Settings
from tests.conftest import environment_for
from tests.factories import NOON, a_task_id
from tests.in_process import client_of
from tests.model import ORDERS, Json, Model, Refusal, listed
from tests.people import People, Person

pytestmark = pytest.mark.server

T = TypeVar("T")
HISTORIES = 200
STEPS = 12
NOWHERE = str(a_task_id())
SORTS = [sign + order for order in ORDERS for sign in ("", "-")]
FILTERS = ("", "&completed=true", "&completed=false", "&trashed=true")

owners = st.sampled_from(["ann", "bob"])
picks = st.integers(0, 5)
conditions = st.sampled_from([None, None, "current", "stale", "*"])
fields = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["a", "B", "é", "zoo"]),
        "description": st.sampled_from([None, "d"]),
        "completed": st.sampled_from([True, True, False]),
        "due": st.sampled_from(
            [None, "2026-01-01", "2026-01-01T00:00:00.000000Z", "2026-02-01T10:00:00.500000Z"]
        ),
        "priority": st.sampled_from(["none", "low", "high"]),
        "tags": st.sampled_from([[], ["x"], ["X", "y"]]),
    },
)
new_tasks = st.tuples(st.sampled_from(["a", "B", "é"]), fields).map(
    lambda said: {**said[1], "title": said[0]}
)
operations = st.lists(
    st.tuples(
        st.sampled_from(["create", "update", "complete", "delete", "restore"]),
        picks,
        conditions,
        fields,
        new_tasks,
    ),
    min_size=1,
    max_size=4,
)


class Running:
    """The application in a thread of its own, so that histories, which are synchronous, can ask it."""

    def __init__(self, database_url: str) -> None:
        self.now = NOON
        self._app = compose(Settings.from_env(environment_for(database_url)), clock=lambda: self.now)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._context = client_of(self._app)
        self.client: httpx.AsyncClient = self.wait_for(self._context.__aenter__())

    def wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def close(self) -> None:
        self.wait_for(self._context.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def running(database_url: str) -> Iterator[Running]:
    running = Running(database_url)
    yield running
    running.close()


def machine_at(running: Running) -> type[RuleBasedStateMachine]:  # noqa: C901 - one rule for each verb
    class Histories(RuleBasedStateMachine):
        """Each rule does one thing, to the service and to the model."""

        @initialize()
        def arrive(self) -> None:
            people = People(running.client)
            self.people: dict[str, Person] = {name: people.one(name) for name in ("ann", "bob")}
            self.models = {name: Model() for name in self.people}
            self.tags: dict[str, tuple[str, int]] = {}
            self.kept: list[tuple[str, str, str, Json, Any]] = []
            self.step = 0
            for owner, count in (("ann", 3), ("bob", 2)):
                for number in range(count):
                    self.create(owner, {"title": f"first {number}"}, keyed=False)

        def ask(
            self, owner: str, method: str, path: str = "", if_match: str | None = None, **more: Any
        ) -> Any:
            headers = {**more.pop("headers", {}), **({} if if_match is None else {"if-match": if_match})}
            return running.wait_for(self.people[owner].ask(method, path, headers=headers, **more))

        def tick(self) -> str:
            running.now += timedelta(seconds=1)
            return written(running.now)

        def pick(self, owner: str, number: int) -> str:
            """Return the id of a task: one's own, in the trash or not, another's, or nobody's."""
            other = "bob" if owner == "ann" else "ann"
            ids = [*sorted(self.models[owner].tasks), *sorted(self.models[other].tasks)[:1], NOWHERE]
            return ids[number % len(ids)]

        def condition(self, owner: str, task_id: str, kind: str | None) -> str | None:
            version = self.models[owner].tasks.get(task_id, {"version": 1})["version"]
            return {"current": f'"{version}"', "stale": f'"{version + 1}"'}.get(kind or "", kind)

        def agree(self, answer: httpx.Response, expected: Json) -> None:
            assert answer.status_code in (200, 201), answer.text
            assert answer.json() == expected
            assert answer.headers["etag"] == f'"{expected["version"]}"'

        def outcome(self, answer: httpx.Response, expected: Callable[[], T]) -> T | None:
            """Return what the model says; None, where it refuses as the service did."""
            try:
                return expected()
            except Refusal as refusal:
                status = refusal.status
            assert answer.status_code == status, answer.text
            return None

        @rule(owner=owners, said=new_tasks, keyed=st.booleans())
        def create(self, owner: str, said: Json, keyed: bool) -> None:  # noqa: FBT001
            now, model = self.tick(), self.models[owner]
            headers = {"idempotency-key": f'"{uuid4()}"'} if keyed else {}
            answer = self.ask(owner, "POST", json=said, headers=headers)
            first = model.own_order()[:1]
            self.agree(answer, model.created(said, answer.json(), now))
            assert model.own_order()[1:2] == first
            if keyed:
                self.kept.append((owner, "", headers["idempotency-key"], said, answer))

        @rule()
        def repeat(self) -> None:
            for owner, path, key, said, first in self.kept[-2:]:
                again = self.ask(owner, "POST", path, json=said, headers={"idempotency-key": key})
                assert (again.status_code, again.content) == (first.status_code, first.content)
                assert again.headers["idempotency-replayed"] == "true"

        @rule(
            owner=owners, number=picks, said=fields, kind=conditions, method=st.sampled_from(["PUT", "PATCH"])
        )
        def change(self, owner: str, number: int, said: Json, kind: str | None, method: str) -> None:
            now, model, task_id = self.tick(), self.models[owner], self.pick(owner, number)
            if_match = self.condition(owner, task_id, kind)
            answer = self.ask(owner, method, task_id, if_match, json=said)
            if task := self.outcome(answer, lambda: model.find(task_id, if_match)):
                self.agree(answer, model.changed(task, said, now))

        @rule(
            owner=owners, number=picks, kind=conditions, completed=st.sampled_from([None, None, True, False])
        )
        def complete(self, owner: str, number: int, kind: str | None, completed: bool | None) -> None:  # noqa: FBT001
            now, model, task_id = self.tick(), self.models[owner], self.pick(owner, number)
            if_match = self.condition(owner, task_id, kind)
            body = {} if completed is None else {"json": {"completed": completed}}
            answer = self.ask(owner, "PATCH", f"{task_id}/complete", if_match, **body)
            if task := self.outcome(answer, lambda: model.find(task_id, if_match)):
                wanted = not task["completed"] if completed is None else completed
                self.agree(answer, model.changed(task, {"completed": wanted}, now))

        @rule(owner=owners, number=picks, kind=conditions, permanent=st.booleans())
        def delete(self, owner: str, number: int, kind: str | None, permanent: bool) -> None:  # noqa: FBT001
            now, model, task_id = self.tick(), self.models[owner], self.pick(owner, number)
            if_match = self.condition(owner, task_id, kind)
            answer = self.ask(owner, "DELETE", f"{task_id}?permanent={str(permanent).lower()}", if_match)
            where = None if permanent else False
            task = self.outcome(answer, lambda: model.find(task_id, if_match, trashed=where))
            if task is None:
                return
            assert answer.status_code == 204
            if permanent:
                model.purged(task)
            else:
                model.changed(task, {"trashed_at": now}, now)

        @rule(owner=owners, number=picks, kind=conditions)
        def restore(self, owner: str, number: int, kind: str | None) -> None:
            now, model, task_id = self.tick(), self.models[owner], self.pick(owner, number)
            if_match = self.condition(owner, task_id, kind)
            answer = self.ask(owner, "POST", f"{task_id}/restore", if_match)
            if task := self.outcome(answer, lambda: model.find(task_id, if_match, trashed=True)):
                self.agree(answer, model.changed(task, {"trashed_at": None}, now))

        @rule(
            owner=owners,
            number=picks,
            other=picks,
            side=st.sampled_from(["before", "after"]),
            kind=conditions,
        )
        def move(self, owner: str, number: int, other: int, side: str, kind: str | None) -> None:
            now, model = self.tick(), self.models[owner]
            task_id, beside = self.pick(owner, number), self.pick(owner, other)
            if_match = self.condition(owner, task_id, kind)
            answer = self.ask(owner, "POST", f"{task_id}/move", if_match, json={side: beside})
            task, ids = self.outcome(answer, lambda: model.find(task_id, if_match)), model.own_order()
            if task is None:
                return
            if task_id == beside or beside not in ids:
                assert answer.status_code == 400, answer.text
                assert [fault["pointer"] for fault in answer.json()["errors"]] == [f"/{side}"]
                return
            others = [one for one in ids if one != task_id]
            place = others.index(beside) + (side == "after")
            wanted = [*others[:place], task_id, *others[place:]]
            said = {} if wanted == ids else {"position": answer.json()["position"]}
            self.agree(answer, model.changed(task, said, now))
            assert model.own_order() == wanted

        @rule(owner=owners, said=operations)
        def batch(self, owner: str, said: list[tuple[str, int, str | None, Json, Json]]) -> None:
            now, model = self.tick(), self.models[owner]
            wanted: list[Json] = []
            for op, number, kind, changes, new in said:
                task_id = self.pick(owner, number)
                if op == "create":
                    wanted.append({"op": op, **new})
                elif task_id not in [one.get("id") for one in wanted]:
                    if_match = self.condition(owner, task_id, None if kind == "*" else kind)
                    more = changes if op == "update" else {}
                    wanted.append(
                        {"op": op, "id": task_id, **({"if_match": if_match} if if_match else {}), **more}
                    )
            answer = self.ask(owner, "POST", "batch", json={"operations": wanted})
            refusals = [
                refusal for number, one in enumerate(wanted) if (refusal := self.refused(owner, one, number))
            ]
            if refusals:
                first = min(
                    refusals, key=lambda refusal: ([404, 412, 409].index(refusal.status), refusal.operation)
                )
                assert answer.status_code == first.status, answer.text
                assert answer.json()["errors"][0]["pointer"].startswith(f"/operations/{first.operation}")
                return
            assert answer.status_code == 200, answer.text
            before = model.changes
            for one, result in zip(wanted, answer.json()["results"], strict=True):
                expected = self.done(owner, one, result.get("task", {}), now)
                if one["op"] == "delete":
                    assert result == {"status": 204}
                else:
                    assert result == {"status": 201 if one["op"] == "create" else 200, "task": expected}
            model.changes = min(model.changes, before + 1)  # all of it is one change of the list

        def refused(self, owner: str, one: Json, number: int) -> Refusal | None:
            try:
                if one["op"] != "create":
                    self.models[owner].find(one["id"], one.get("if_match"), trashed=one["op"] == "restore")
            except Refusal as refusal:
                return Refusal(refusal.status, number)
            return None

        def done(self, owner: str, one: Json, told: Json, now: str) -> Json:
            model = self.models[owner]
            said = {name: value for name, value in one.items() if name not in ("op", "id", "if_match")}
            if one["op"] == "create":
                told_now = told["created_at"]  # those of one batch are microseconds apart
                assert now <= told_now < written(datetime.fromisoformat(now) + timedelta(milliseconds=1))
                return model.created(said, told, told_now)
            changes = {
                "update": said,
                "complete": {"completed": True},
                "delete": {"trashed_at": now},
                "restore": {"trashed_at": None},
            }[one["op"]]
            return model.changed(model.tasks[one["id"]], changes, now)

        @invariant()
        def every_list_is_what_the_model_says(self) -> None:
            if not hasattr(self, "people"):
                return
            for owner, model in self.models.items():
                self.step += 1
                sort, chosen = SORTS[self.step % len(SORTS)], FILTERS[self.step // 3 % len(FILTERS)]
                answer = self.ask(owner, "GET", f"?limit=200&sort={sort}{chosen}")
                trashed = "trashed" in chosen
                tasks = [task for task in model.tasks.values() if bool(task["trashed_at"]) == trashed]
                if "completed" in chosen:
                    tasks = [task for task in tasks if task["completed"] == chosen.endswith("true")]
                assert answer.json() == listed(tasks, sort), (sort, chosen)
                tag, changes = answer.headers["etag"], model.changes
                known, then = self.tags.get(owner, (tag, changes))
                assert (tag == known) == (changes == then)
                self.tags[owner] = (tag, changes)

    return Histories


def test_the_service_and_a_simple_model_agree_after_every_step_of_random_histories(running: Running) -> None:
    run_state_machine_as_test(
        machine_at(running),
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
