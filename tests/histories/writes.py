"""Writes to one task in a random history, and the purge of the trash."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import rule

from app.domain.clock import to_rfc3339
from tests.histories.history import History, conditions, edits, new_key, new_tasks, owners, picks
from tests.support.model import Json

MONTH = timedelta(days=30)
NULLED: Json = {"description": None, "due": None, "priority": "none", "tags": []}


class Writes(History):
    """Writes to one task, and the purge of the trash."""

    @rule(owner=owners, fields=new_tasks, keyed=st.booleans())
    def create(self, owner: str, fields: Json, keyed: bool) -> None:  # noqa: FBT001
        now, model = self.tick(), self.models[owner]
        answer = self.ask(owner, "POST", json=fields, key=new_key(keyed=keyed))
        if self.outcome(answer, lambda: model.room_for(1)):
            task = model.create(fields, answer.json(), now)
            self.check_task(answer, task)
            assert answer.headers["location"].endswith(f"/tasks/{task['id']}")
            assert model.manual_order()[0] == model.listed()[0]["id"] == task["id"]

    @rule(
        owner=owners,
        number=picks,
        fields=edits,
        kind=conditions,
        method=st.sampled_from(["PUT", "PATCH", "null"]),
    )
    def change(self, owner: str, number: int, fields: Json, kind: str | None, method: str) -> None:
        sent = fields
        if method == "null":
            method, fields = "PATCH", NULLED  # null means these values
            sent = dict.fromkeys(fields)
        now, model, task_id = self.tick(), self.models[owner], self.pick(owner, number)
        if_match = self.condition(owner, task_id, kind)
        answer = self.ask(owner, method, task_id, if_match=if_match, json=sent)
        if task := self.outcome(answer, lambda: model.find(task_id, if_match)):
            self.check_task(answer, model.change(task, fields, now))

    @rule(
        owner=owners,
        number=picks,
        kind=conditions,
        completed=st.sampled_from([None, None, True, False]),
        keyed=st.booleans(),
    )
    def complete(
        self,
        owner: str,
        number: int,
        kind: str | None,
        completed: bool | None,  # noqa: FBT001
        keyed: bool,  # noqa: FBT001
    ) -> None:
        now, model, task_id = self.tick(), self.models[owner], self.pick(owner, number)
        if_match = self.condition(owner, task_id, kind)
        body = None if completed is None else {"completed": completed}
        key = new_key(keyed=keyed)
        answer = self.ask(owner, "PATCH", f"{task_id}/complete", if_match=if_match, json=body, key=key)
        if task := self.outcome(answer, lambda: model.find(task_id, if_match)):
            wanted = not task["completed"] if completed is None else completed
            self.check_task(answer, model.change(task, {"completed": wanted}, now))

    @rule(owner=owners, number=picks, kind=conditions, permanent=st.sampled_from([False, False, True]))
    def delete(self, owner: str, number: int, kind: str | None, permanent: bool) -> None:  # noqa: FBT001
        now, model, task_id = self.tick(), self.models[owner], self.pick(owner, number)
        if_match = self.condition(owner, task_id, kind)
        answer = self.ask(owner, "DELETE", f"{task_id}?permanent={str(permanent).lower()}", if_match=if_match)
        trashed = None if permanent else False  # only a permanent deletion finds a task in the trash too
        if task := self.outcome(answer, lambda: model.find(task_id, if_match, trashed=trashed)):
            assert (answer.status_code, answer.content) == (204, b"")
            if permanent:
                model.purge(task_id)
            else:
                model.change(task, {"trashed_at": now}, now)

    @rule(owner=owners, number=picks, kind=conditions)
    def restore(self, owner: str, number: int, kind: str | None) -> None:
        if number % 2 and not self.models[owner].manual_order(trashed="true"):
            self.delete(owner, number, kind=None, permanent=False)
        now, model, task_id = self.tick(), self.models[owner], self.pick(owner, number, trashed=True)
        if_match = self.condition(owner, task_id, kind)
        answer = self.ask(owner, "POST", f"{task_id}/restore", if_match=if_match)
        if task := self.outcome(answer, lambda: model.find(task_id, if_match, trashed=True)):
            self.check_task(answer, model.change(task, {"trashed_at": None}, now))

    @rule(days=st.sampled_from([1, 1, 31]))
    def purge(self, days: int) -> None:
        self.app.now += timedelta(days=days)
        self.keyed_requests.clear()  # responses older than a day are not repeated
        self.app.purge(older_than=MONTH)
        long_ago = to_rfc3339(self.app.now - MONTH)
        for model in self.models.values():
            old = [task["id"] for task in model.listed(trashed="true") if task["trashed_at"] < long_ago]
            model.purge(*old)

    @rule(
        owner=owners,
        number=picks,
        other=st.integers(0, 3),
        side=st.sampled_from(["before", "after"]),
        kind=conditions,
    )
    def move(self, owner: str, number: int, other: int, side: str, kind: str | None) -> None:
        if len(self.models[owner].manual_order()) < 2:
            self.create(owner, {"title": "to move"}, keyed=False)
        now, model = self.tick(), self.models[owner]
        task_id, beside = self.pick(owner, number), self.pick(owner, number + other)
        if_match, ids = self.condition(owner, task_id, kind), model.manual_order()
        answer = self.ask(owner, "POST", f"{task_id}/move", if_match=if_match, json={side: beside})
        if not (task := self.outcome(answer, lambda: model.find(task_id, if_match))):
            return
        if task_id == beside or beside not in ids:
            assert [fault["pointer"] for fault in answer.json()["errors"]] == [f"/{side}"], answer.text
            return
        others = [one for one in ids if one != task_id]
        place = others.index(beside) + (side == "after")
        wanted = [*others[:place], task_id, *others[place:]]
        if wanted != ids:
            self.set_position(owner, task, answer.json()["position"], now)
        self.check_task(answer, model.tasks[task_id])
        assert model.manual_order() == wanted

    def set_position(self, owner: str, task: Json, position: str, now: str) -> None:
        """Give a task its new position in the model.

        If there was no room, the service has given all tasks outside the trash new positions, in the same order.
        """
        model = self.models[owner]
        answered = {
            one["id"]: one
            for trashed in ("false", "true")
            for one in self.list_of(owner, sort="position", trashed=trashed).json()
        }
        if all(
            answered[one]["position"] == model.tasks[one]["position"] for one in answered if one != task["id"]
        ):
            model.change(task, {"position": position}, now)
            return
        before, positions = model.tasks, {one: answered[one]["position"] for one in answered}
        others = [one for one in model.manual_order() if one != task["id"]]
        in_trash = [one for one in before if before[one]["trashed_at"]]
        assert [positions[one] for one in in_trash] == [before[one]["position"] for one in in_trash]
        model.spread(positions, now)
        assert [one for one in model.manual_order() if one != task["id"]] == others
