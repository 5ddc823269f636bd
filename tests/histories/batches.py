"""Batches in a random history."""

from datetime import datetime, timedelta
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from app.domain.clock import to_rfc3339
from tests.histories.history import History, conditions, edits, new_key, new_tasks, owners, picks
from tests.support.model import Json, Refusal


class Operation(NamedTuple):
    """One operation of a batch. The values that its `op` does not need are ignored."""

    op: str
    number: int = 0  # of a task: see `History.pick`
    condition: str | None = None  # see `History.condition`
    changes: Json = {}  # noqa: RUF012 - never changed
    new: Json = {}  # noqa: RUF012


operations = st.lists(
    st.builds(
        Operation,
        st.sampled_from(["create", "update", "complete", "delete", "restore"]),
        picks,
        conditions,
        edits,
        new_tasks,
    ),
    min_size=1,
    max_size=4,
)


class Batches(History):
    """Batches. The first ones create tasks whose positions are so close that a move soon finds no room."""

    @initialize()
    def begin(self) -> None:
        for owner, count in (("ann", 4), ("bob", 2)):
            new = [
                Operation("create", new={"title": f"first {number}", "completed": number % 2 == 1})
                for number in range(count)
            ]
            self.batch(owner, new, keyed=False)
        self.batch("ann", [Operation("delete")], keyed=False)

    @rule(owner=owners, operations=operations, keyed=st.booleans())
    def batch(self, owner: str, operations: list[Operation], keyed: bool) -> None:  # noqa: FBT001
        now, model = self.tick(), self.models[owner]
        wanted = self.to_api(owner, operations)
        answer = self.ask(owner, "POST", "batch", json={"operations": wanted}, key=new_key(keyed=keyed))
        found = [self.refusal_of(owner, number, one) for number, one in enumerate(wanted)]
        if refusals := [refusal for refusal in found if refusal]:
            refusal = min(refusals, key=lambda refusal: refusal.rank)
            self.check_refusal(answer, refusal)
            assert [fault["pointer"] for fault in answer.json()["errors"]] == [
                f"/operations/{refusal.operation}"
            ]
            return
        new = sum(one["op"] == "create" for one in wanted)
        if new and not self.outcome(answer, lambda: model.room_for(new)):
            return
        assert answer.status_code == 200, answer.text
        before = model.changes
        for one, result in zip(wanted, answer.json()["results"], strict=True):
            expected = self.apply_to_model(owner, one, result.get("task", {}), now)
            if one["op"] == "delete":
                assert result == {"status": 204}
            else:
                assert result == {"status": 201 if one["op"] == "create" else 200, "task": expected}
        model.count_once_since(before)  # a batch is one change of the list

    def to_api(self, owner: str, operations: list[Operation]) -> list[Json]:
        """Return the operations as the API takes them; no two of them name the same task."""
        found: list[Json] = []
        for op, number, kind, changes, new in operations:
            task_id = self.pick(owner, number, trashed=op == "restore")
            if op == "create":
                found.append({"op": op, **new})
            elif task_id not in [one.get("id") for one in found]:
                if_match = self.condition(owner, task_id, kind)
                more = {**(changes if op == "update" else {}), **({"if_match": if_match} if if_match else {})}
                found.append({"op": op, "id": task_id, **more})
        return found

    def refusal_of(self, owner: str, number: int, one: Json) -> Refusal | None:
        """Return why the model refuses an operation; None if it does not."""
        try:
            if one["op"] != "create":
                self.models[owner].find(one["id"], one.get("if_match"), trashed=one["op"] == "restore")
        except Refusal as refusal:
            return Refusal(refusal.kind, number)
        return None

    def apply_to_model(self, owner: str, one: Json, answered: Json, now: str) -> Json:
        """Do an operation in the model. Return the task, with the values that the service chose in `answered`."""
        model = self.models[owner]
        fields = {name: value for name, value in one.items() if name not in ("op", "id", "if_match")}
        if one["op"] == "create":
            at = answered["created_at"]  # the creations of one batch are microseconds apart
            assert now <= at < to_rfc3339(datetime.fromisoformat(now) + timedelta(milliseconds=1))
            return model.create(fields, answered, at)
        changes = {
            "update": fields,
            "complete": {"completed": True},
            "delete": {"trashed_at": now},
            "restore": {"trashed_at": None},
        }[one["op"]]
        return model.change(model.tasks[one["id"]], changes, now)
