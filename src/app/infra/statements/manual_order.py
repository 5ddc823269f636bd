"""The statements about a person's own order."""

from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    Uuid,
    bindparam,
    column,
    func,
    select,
    true,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.infra.statements.lists import LIMIT, first_of, merged
from app.infra.statements.owner_scope import Statement, compiled, owner_scope
from app.infra.statements.revision import ONE, counting
from app.infra.statements.tasks import (
    ALIVE,
    CHANGED,
    ROW,
    TASKS,
    TRASHED,
    only_if_counted,
    value_of,
)

BESIDE: Final = bindparam("beside", type_=Uuid)
PLACE: Final = ("position", "id")


def _standing(task_id: ColumnElement[Any]) -> Select[Any]:
    return select(TASKS.c.id, TASKS.c.position, TASKS.c.version).where(
        *owner_scope(TASKS), ALIVE, TASKS.c.id == task_id
    )


STANDING: Final = compiled(union_all(_standing(ROW), _standing(BESIDE)))
"""Each by its own equality: for `IN`, PostgreSQL reads all of an owner's tasks while it has no statistics."""


def _neighbours(*, before: bool) -> Select[Any]:
    place, beside = tuple_(TASKS.c.position, TASKS.c.id), tuple_(value_of("position"), BESIDE)
    beyond = place < beside if before else place > beside
    return select(TASKS.c.position, TASKS.c.id).where(*owner_scope(TASKS), TASKS.c.id != ROW, beyond)


def _neighbour(*, before: bool) -> Statement:
    found = _neighbours(before=before).where(ALIVE)
    return compiled(merged(found, order=PLACE, descending=before, limit=ONE))


BEFORE: Final = _neighbour(before=True)
AFTER: Final = _neighbour(before=False)


def _unforeseen(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the value so that PostgreSQL does not know it when it plans. It takes a limit for a small one.

    Without statistics it believes that an owner has few tasks, and would read all of them.
    """
    return select(value).scalar_subquery()


def _nearest(*, before: bool) -> Statement:
    """Return the statement. Tasks in the trash keep their rank too, since they come back to it."""
    found, limit = _neighbours(before=before), _unforeseen(LIMIT)
    alive = merged(found.where(ALIVE), order=PLACE, descending=before, limit=limit)
    return compiled(first_of((alive, found.where(TRASHED)), order=PLACE, descending=before, limit=limit))


NEAREST_BEFORE: Final = _nearest(before=True)
NEAREST_AFTER: Final = _nearest(before=False)


def _spread() -> Statement:
    ids = _unforeseen(bindparam("ids", type_=ARRAY(Uuid)))
    positions = _unforeseen(bindparam("positions", type_=ARRAY(Text)))
    pairs = func.unnest(ids, positions).table_valued(column("id", Uuid), column("position", Text))
    pairs = pairs.render_derived(name="pairs")
    count = _unforeseen(func.cardinality(ids))
    given = select(pairs.c.id, pairs.c.position).limit(count).subquery("given")
    change = update(TASKS).values(position=given.c.position, **CHANGED)
    differs = TASKS.c.position != given.c.position
    change = change.where(*owner_scope(TASKS), TASKS.c.id == given.c.id, differs)
    return compiled(only_if_counted(change, counting(true())))


SPREAD: Final = _spread()
