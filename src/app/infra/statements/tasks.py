"""The statements about one task."""

from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Uuid,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    null,
    or_,
    select,
    update,
)

from app.infra.rows import TaskRow
from app.infra.statements.json_text import task_json
from app.infra.statements.owners import ONE, counting, counting_a_new_task
from app.infra.statements.walls import OWNER, Statement, compiled, told, view_of, walls

TASKS: Final = view_of(TaskRow)
ROW: Final = bindparam("row", type_=Uuid)
ALIVE: Final = TASKS.c.trashed_at.is_(None)
SHOWN: Final = (task_json(TASKS).label("json"), TASKS.c.version)

DERIVED: Final = frozenset({"title_key", "title_words", "description_words", "tag_keys", "completed_at"})
"""Columns that follow from others, and so never make a difference by themselves."""

SHOW: Final = compiled(select(*SHOWN).where(*walls(TASKS), TASKS.c.id == ROW, ALIVE))


def _value(name: str) -> ColumnElement[Any]:
    return bindparam(name, type_=TASKS.c[name].type)


def _insert() -> Statement:
    counted = counting_a_new_task()
    given = [c.name for c in TASKS.c if c.name not in ("user_id", "id", "trashed_at")]
    values = {"user_id": OWNER, "id": ROW, **{name: _value(name) for name in given}}
    source = select(*(value.label(name) for name, value in values.items())).where(
        told(), counted.c.revision.is_not(None)
    )
    return compiled(insert(TASKS).from_select(list(values), source).returning(*SHOWN))


INSERT: Final = _insert()


@lru_cache
def update_of(names: tuple[str, ...]) -> Statement:
    """Return the statement that gives these columns new values, if any of them is another than before."""
    distinct = or_(*(TASKS.c[name].is_distinct_from(_value(name)) for name in names if name not in DERIVED))
    values = {name: _value(name) for name in names}
    if "completed" in names:
        at = func.coalesce(TASKS.c.completed_at, _value("updated_at"))
        values["completed_at"] = case((_value("completed"), at))
    return _changed(values, distinct)


def _changed(values: dict[str, ColumnElement[Any]], *conditions: ColumnElement[bool]) -> Statement:
    this = and_(*walls(TASKS), TASKS.c.id == ROW, ALIVE, *conditions)
    counted = counting(0, exists().where(this))
    always = {"version": TASKS.c.version + ONE, "updated_at": _value("updated_at")}
    change = update(TASKS).values(values | always).where(this, counted.c.revision.is_not(None))
    return compiled(change.returning(*SHOWN))


TOGGLE: Final = _changed(
    {
        "completed": ~TASKS.c.completed,
        "completed_at": case((TASKS.c.completed, null()), else_=_value("updated_at")),
    }
)


def _delete() -> Statement:
    this = and_(*walls(TASKS), TASKS.c.id == ROW, ALIVE)
    counted = counting(-1, exists().where(this))
    return compiled(delete(TASKS).where(this, counted.c.revision.is_not(None)).returning(TASKS.c.id))


DELETE: Final = _delete()
