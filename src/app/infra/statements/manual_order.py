"""The statements about a person's own order."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
    update,
)

from app.domain.position import CLOCK
from app.infra.statements.lists import merged
from app.infra.statements.owner_scope import Statement, compiled, owner_scope
from app.infra.statements.revision import counting
from app.infra.statements.tasks import (
    ALIVE,
    CHANGED,
    ROW,
    TASKS,
    only_if_counted,
    value_of,
)

BESIDE: Final = bindparam("beside", type_=Uuid)
SIDE: Final = bindparam("side", type_=Integer)  # -1: right before the other task, 1: right after it
STEP: Final = 1_000_000  # microseconds: how far tasks stand apart when they are spread


def _standing(task_id: ColumnElement[Any]) -> Select[Any]:
    return select(TASKS.c.id, TASKS.c.position, TASKS.c.version).where(
        *owner_scope(TASKS), ALIVE, TASKS.c.id == task_id
    )


STANDING: Final = compiled(union_all(_standing(ROW), _standing(BESIDE)))
"""Each by its own equality: for `IN`, PostgreSQL reads all of an owner's tasks while it has no statistics."""


def _neighbour(*, before: bool) -> Statement:
    place, beside = tuple_(TASKS.c.position, TASKS.c.id), tuple_(value_of("position"), BESIDE)
    beyond = place < beside if before else place > beside
    found = select(TASKS.c.position, TASKS.c.id).where(*owner_scope(TASKS), ALIVE, TASKS.c.id != ROW, beyond)
    one = literal_column("1", Integer)
    return compiled(merged(found, order=("position", "id"), descending=before, limit=one))


BEFORE: Final = _neighbour(before=True)
AFTER: Final = _neighbour(before=False)


def _literal(text: str) -> ColumnElement[Any]:
    return literal_column(text)


def _spread() -> Statement:
    """Return the statement; what is in the trash keeps its rank too, and comes back to it."""
    mine, moved = and_(*owner_scope(TASKS)), TASKS.c.id == ROW
    order = (
        case((moved, value_of("position")), else_=TASKS.c.position),
        case((moved, BESIDE), else_=TASKS.c.id),
        case((moved, SIDE), else_=literal_column("0", Integer)),
    )
    rank = func.row_number().over(order_by=order).label("rank")
    ranked = select(TASKS.c.id, rank).where(mine).subquery("ranked")
    clock = bindparam("clock", type_=BigInteger) + ranked.c.rank * literal_column(str(STEP), BigInteger)
    digits = func.lpad(func.to_hex(clock), _literal(str(CLOCK)), _literal("'0'"), type_=Text)
    position = digits + _literal("'V'")
    change = update(TASKS).values(position=position, **CHANGED).where(mine, TASKS.c.id == ranked.c.id)
    return compiled(only_if_counted(change, counting(exists().where(mine))))


SPREAD: Final = _spread()
