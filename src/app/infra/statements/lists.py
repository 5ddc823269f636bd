"""The statements that read many tasks at once."""

from typing import Any, Final

from sqlalchemy import BigInteger, Integer, Uuid, bindparam, func, literal_column, select

from app.infra.statements.json_text import task_json
from app.infra.statements.owners import OWNERS
from app.infra.statements.tasks import ALIVE, TASKS
from app.infra.statements.walls import Statement, compiled, walls

LIMIT: Final = bindparam("limit", type_=Integer)


def _page(*conditions: Any) -> Statement:
    """Return the statement that reads a page, and what the next one begins after, as a single row."""
    revision = select(OWNERS.c.revision).where(*walls(OWNERS)).scalar_subquery()
    found = (
        select(TASKS.c.id, task_json(TASKS).label("json"))
        .where(*walls(TASKS), ALIVE, *conditions)
        .order_by(TASKS.c.id.desc())
        .limit(LIMIT)
        .subquery("found")
    )
    return compiled(
        select(
            func.coalesce(revision, literal_column("0", BigInteger)).label("revision"),
            func.array_agg(found.c.json).label("shown"),
            func.array_agg(found.c.id).label("ids"),
        )
    )


NEWEST: Final = _page()
OLDER: Final = _page(TASKS.c.id < bindparam("after", type_=Uuid))
