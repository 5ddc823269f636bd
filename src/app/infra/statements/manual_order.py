"""The statements of the manual order."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import bindparam, column, func, select, tuple_, update

from app.infra.statements.lists import LIMIT, merge
from app.infra.statements.owner_scope import Statement, beside, compile_sql, owner_scope
from app.infra.statements.revision import ONE, OWNERS, count_change, update_owner
from app.infra.statements.tasks import (
    ALIVE,
    ALWAYS,
    SHOWN,
    TASK_ID,
    TASKS,
    THIS_TASK,
    only_if_counted,
    value_of,
)

BESIDE: Final = bindparam("beside", type_=sa.Uuid)
PLACE: Final = ("position", "id")


def _neighbours(position: sa.ColumnElement[str], *, before: bool) -> sa.Select[Any]:
    """Return the tasks on one side of a position, without the task to move."""
    place, target = tuple_(TASKS.c.position, TASKS.c.id), tuple_(position, BESIDE)
    beyond = place < target if before else place > target
    others = (*owner_scope(TASKS), TASKS.c.id != TASK_ID, beyond, ALIVE)
    return select(TASKS.c.position, TASKS.c.id).where(*others)


def _neighbours_statement(*, before: bool) -> Statement:
    """Return the statement that reads the positions of the task to move, of its target and of a neighbour.

    The target is the task beside which it moves. The neighbour is on the other side of the place. One row.
    """
    moved = select(TASKS.c.position, *SHOWN).where(*THIS_TASK, ALIVE)
    target_position = TASKS.c.position.label("target_position")
    target = select(target_position).where(*owner_scope(TASKS), TASKS.c.id == BESIDE, ALIVE).cte("target")
    near = _neighbours(select(target.c.target_position).scalar_subquery(), before=before)
    neighbour = merge(near, order=PLACE, descending=before, limit=ONE).cte("near")
    neighbour_position = select(neighbour.c.position.label("neighbour_position")).cte("neighbour")
    revision = select(OWNERS.c.revision).where(*owner_scope(OWNERS)).cte("owner")
    return compile_sql(beside(moved.cte("moved"), target, neighbour_position, revision))


BEFORE: Final = _neighbours_statement(before=True)
AFTER: Final = _neighbours_statement(before=False)


def _put() -> Statement:
    """Return the statement that gives a task its position, unless the owner has written since the read."""
    seen = bindparam("revision", type_=sa.BigInteger)
    counted = update_owner({"revision": OWNERS.c.revision + ONE}, OWNERS.c.revision == seen)
    change = update(TASKS).values(position=value_of("position")).where(*THIS_TASK, ALIVE)
    return compile_sql(only_if_counted(change, counted).returning(*SHOWN))


PUT: Final = _put()


def _hidden_from_planner(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Wrap the value in a subquery, so that the planner does not see it and assumes a small LIMIT.

    Otherwise, without statistics, the planner assumes that the owner has few tasks, and reads all of them.
    """
    return select(value).scalar_subquery()


def _nearest(*, before: bool) -> Statement:
    """Return the statement that reads the nearest tasks on one side of a position.

    It does not read the trash, which has no index by position. So a task in the trash keeps its position
    when the tasks around it are spread. After a restore it is then only near its old place.
    """
    found = _neighbours(value_of("position"), before=before)
    return compile_sql(merge(found, order=PLACE, descending=before, limit=_hidden_from_planner(LIMIT)))


NEAREST_BEFORE: Final = _nearest(before=True)
NEAREST_AFTER: Final = _nearest(before=False)


def _spread() -> Statement:
    """Return the statement that writes new positions of some tasks.

    LIMIT repeats the number of pairs, so that the planner does not assume as many rows as `unnest` may have.
    """
    ids = _hidden_from_planner(bindparam("ids", type_=sa.ARRAY(sa.Uuid)))
    positions = _hidden_from_planner(bindparam("positions", type_=sa.ARRAY(sa.Text)))
    pairs = func.unnest(ids, positions).table_valued(column("id", sa.Uuid), column("position", sa.Text))
    pairs = pairs.render_derived(name="pairs")
    count = _hidden_from_planner(func.cardinality(ids))
    given = select(pairs.c.id, pairs.c.position).limit(count).subquery("given")
    change = update(TASKS).values(position=given.c.position)
    differs = TASKS.c.position != given.c.position
    change = change.where(*owner_scope(TASKS), TASKS.c.id == given.c.id, differs)
    return compile_sql(only_if_counted(change, count_change(ALWAYS)))


SPREAD: Final = _spread()
