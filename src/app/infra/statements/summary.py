"""The statement that counts one person's tasks."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import and_, bindparam, case, func, not_, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by

from app.domain.summary import SUMMARY_TAGS_MAX
from app.infra.statements.owner_scope import Statement, compile_sql, number, owner_scope
from app.infra.statements.revision import ONE
from app.infra.statements.tasks import ALIVE, TASKS

SUMMARY_BUDGET: Final = 2.0  # seconds; 100,000 tasks of 20 tags take longer


def _moment(name: str) -> sa.ColumnElement[Any]:
    return bindparam(name, type_=TASKS.c.due_at.type)


def _summary() -> Statement:
    """Return the statement that counts. It compares due days with days, and due times with times."""
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
            tag.c.key,
            func.min(tag.c.name.collate("C")).label("name"),
            _count(is_open).label("open"),
            _count(done).label("done"),
        )
        .select_from(mine.join(tag, true()))
        .group_by(tag.c.key)
        .cte("tags")
    )
    tags_max = number(SUMMARY_TAGS_MAX)
    key = tags.c.key.collate("C")
    most = tags.c.open.desc(), (tags.c.open + tags.c.done).desc(), key
    listed = select(tags).order_by(*most).limit(tags_max).subquery("listed")
    arrays = (
        func.array_agg(aggregate_order_by(listed.c[name], listed.c.key.collate("C"))).label(name)
        for name in ("name", "open", "done")
    )
    each = select(*arrays).subquery("each_tag")
    all_tags = select(func.count()).select_from(tags).scalar_subquery()
    left_out = func.greatest(all_tags - tags_max, number(0))
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
    return compile_sql(
        select(
            *counts.c,
            each.c.name.label("tags"),
            each.c.open.label("tags_open"),
            each.c.done.label("tags_done"),
            left_out.label("tags_left_out"),
        ).select_from(counts.join(each, true())),
        budget=SUMMARY_BUDGET,
    )


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return func.count(ONE).filter(condition)


SUMMARY: Final = _summary()
