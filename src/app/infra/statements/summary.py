"""The statement that counts one person's tasks."""

from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, case, func, literal_column, not_, select, true

from app.infra.statements.owner_scope import Statement, compiled, owner_scope
from app.infra.statements.tasks import ALIVE, TASKS


def _moment(name: str) -> ColumnElement[Any]:
    return bindparam(name, type_=TASKS.c.due_at.type)


def _summary() -> Statement:
    """Return the statement. Due days are compared with days, due times with times."""
    columns = [TASKS.c[name] for name in ("completed", "due_at", "due_whole_day", "tags", "tag_keys")]
    mine = select(*columns).where(*owner_scope(TASKS), ALIVE).cte("mine")
    done, is_open = mine.c.completed, not_(mine.c.completed)
    overdue = mine.c.due_at < case((mine.c.due_whole_day, _moment("today")), else_=_moment("now"))
    due_today = case(
        (mine.c.due_whole_day, mine.c.due_at == _moment("today")),
        else_=and_(mine.c.due_at >= _moment("day_start"), mine.c.due_at < _moment("day_end")),
    )
    tag = func.unnest(mine.c.tag_keys, mine.c.tags).table_valued("key", "name", name="tag").render_derived()
    tags = (
        select(
            func.min(tag.c.name.collate("C")).label("name"),
            _count(is_open).label("open"),
            _count(done).label("done"),
        )
        .select_from(mine.join(tag, true()))
        .group_by(tag.c.key)
        .order_by(tag.c.key.collate("C"))
        .subquery("tags")
    )
    names, opens, dones = (func.array_agg(tags.c[name]).label(name) for name in ("name", "open", "done"))
    each = select(names, opens, dones).subquery("each_tag")
    counts = (
        select(
            _count(is_open).label("open"),
            _count(done).label("done"),
            _count(and_(is_open, overdue)).label("overdue"),
            _count(and_(is_open, due_today)).label("due_today"),
        )
        .select_from(mine)
        .subquery("counts")
    )
    return compiled(
        select(
            *counts.c,
            each.c.name.label("tags"),
            each.c.open.label("tags_open"),
            each.c.done.label("tags_done"),
        ).select_from(counts.join(each, true()))
    )


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(literal_column("1")).filter(condition)


SUMMARY: Final = _summary()
