"""The statements of the manual order."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
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
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.infra.statements.lists import LIMIT, merge
from app.infra.statements.owner_scope import Statement, compile_sql, one_row_of, owner_scope
from app.infra.statements.revision import ONE, OWNERS, count_change
from app.infra.statements.tasks import (
    ALIVE,
    CHANGED,
    ROW,
    SHOWN,
    TASKS,
    only_if_counted,
    value_of,
)

BESIDE: Final = bindparam("beside", type_=Uuid)
PLACE: Final = ("position", "id")


def _neighbours(there: ColumnElement[str], *, before: bool) -> Select[Any]:
    place, beside = tuple_(TASKS.c.position, TASKS.c.id), tuple_(there, BESIDE)
    beyond = place < beside if before else place > beside
    return select(TASKS.c.position, TASKS.c.id).where(*owner_scope(TASKS), TASKS.c.id != ROW, beyond)


def _look(*, before: bool) -> Statement:
    """Return the statement that reads where both tasks and the neighbour stand. It has exactly one row.

    The neighbour is the task next to the place, as if the task to move were not in the list.
    """
    alive = (*owner_scope(TASKS), ALIVE)
    moved = select(TASKS.c.position.label("stands"), *SHOWN).where(*alive, TASKS.c.id == ROW)
    there = select(TASKS.c.position.label("there")).where(*alive, TASKS.c.id == BESIDE).cte("beside")
    near = _neighbours(select(there.c.there).scalar_subquery(), before=before).where(ALIVE)
    neighbour = merge(near, order=PLACE, descending=before, limit=ONE).cte("near")
    found = (
        moved.cte("moved"),
        there,
        select(neighbour.c.position.label("neighbour")).cte("neighbour"),
        select(OWNERS.c.revision).where(*owner_scope(OWNERS)).cte("owner"),
    )
    return one_row_of(*found)


BEFORE: Final = _look(before=True)
AFTER: Final = _look(before=False)


def _put() -> Statement:
    """Return the statement that gives a task its position, if its owner's tasks are as they were seen."""
    seen = bindparam("revision", type_=BigInteger)
    counted = (
        update(OWNERS)
        .values(revision=OWNERS.c.revision + ONE)
        .where(*owner_scope(OWNERS), OWNERS.c.revision == seen)
        .returning(OWNERS.c.revision)
        .cte("counted")
    )
    change = update(TASKS).values(position=value_of("position"), **CHANGED)
    change = change.where(*owner_scope(TASKS), TASKS.c.id == ROW, ALIVE)
    return compile_sql(only_if_counted(change, counted).returning(*SHOWN))


PUT: Final = _put()


def _hidden_from_planner(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the value so that PostgreSQL does not know it when it plans. It takes a limit for a small one.

    Without statistics it believes that an owner has few tasks, and would read all of them.
    """
    return select(value).scalar_subquery()


def _nearest(*, before: bool) -> Statement:
    """Return the statement. It does not read the trash, which has no index by position.

    So a task that comes back from the trash stands near its old place, where tasks were spread meanwhile.
    """
    found = _neighbours(value_of("position"), before=before).where(ALIVE)
    return compile_sql(merge(found, order=PLACE, descending=before, limit=_hidden_from_planner(LIMIT)))


NEAREST_BEFORE: Final = _nearest(before=True)
NEAREST_AFTER: Final = _nearest(before=False)


def _spread() -> Statement:
    ids = _hidden_from_planner(bindparam("ids", type_=ARRAY(Uuid)))
    positions = _hidden_from_planner(bindparam("positions", type_=ARRAY(Text)))
    pairs = func.unnest(ids, positions).table_valued(column("id", Uuid), column("position", Text))
    pairs = pairs.render_derived(name="pairs")
    count = _hidden_from_planner(func.cardinality(ids))
    given = select(pairs.c.id, pairs.c.position).limit(count).subquery("given")
    change = update(TASKS).values(position=given.c.position, **CHANGED)
    differs = TASKS.c.position != given.c.position
    change = change.where(*owner_scope(TASKS), TASKS.c.id == given.c.id, differs)
    return compile_sql(only_if_counted(change, count_change(true())))


SPREAD: Final = _spread()
