"""Statements of the backfill of derived columns (`app.infra.backfill`)."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import case, func, select, update

from app.infra.statements.owner_scope import Statement, compile_sql, constant, number, owner_scope
from app.infra.statements.revision import ONE, OWNERS
from app.infra.statements.tasks import DERIVED, TASK_ID, TASKS, THIS_TASK, value_of

SLICE: Final = 200  # tasks
SOURCES: Final = ("title", "description", "tags")


def _read() -> Statement:
    """Return the statement that reads a slice. It skips ASCII rows: no new rule has changed their values."""
    text = func.concat(TASKS.c.title, TASKS.c.description, func.array_to_string(TASKS.c.tags, constant("")))
    is_not_ascii = func.octet_length(text) > func.char_length(text)
    read = select(*(TASKS.c[name] for name in ("id", "version", *SOURCES, *sorted(DERIVED))))
    rows = read.where(*owner_scope(TASKS), TASKS.c.id > TASK_ID, is_not_ascii)
    return compile_sql(rows.order_by(TASKS.c.id).limit(number(SLICE)))


def _write(*, stamp: bool) -> Statement:
    """Return the statement that writes one task, unless it has changed since it was read."""
    derived: dict[str, sa.ColumnElement[Any]] = {name: value_of(name) for name in ("tags", *sorted(DERIVED))}
    changed = TASKS.c.tags != derived["tags"]
    derived["version"] = case((changed, TASKS.c.version + ONE), else_=TASKS.c.version)
    now = func.greatest(TASKS.c.updated_at, func.now())
    derived["updated_at"] = case((changed, now), else_=TASKS.c.updated_at)
    if stamp:
        derived["revision"] = case((changed, value_of("revision")), else_=TASKS.c.revision)
    expected = TASKS.c.version == value_of("version")
    return compile_sql(update(TASKS).values(derived).where(*THIS_TASK, expected).returning(TASKS.c.version))


READ: Final = _read()
WRITE: Final = _write(stamp=True)
WRITE_WITHOUT_REVISION: Final = _write(stamp=False)
"""For a database before migration 0007, where tasks have no revision."""

INCREMENT_REVISION: Final = compile_sql(
    update(OWNERS)
    .values(revision=OWNERS.c.revision + ONE)
    .where(*owner_scope(OWNERS))
    .returning(OWNERS.c.revision)
)
