"""The statements about one task."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import and_, bindparam, case, delete, exists, func, null, or_, select, update
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql import Insert

from app.infra.statements import idempotency, tombstones
from app.infra.statements.owner_scope import (
    Statement,
    compile_sql,
    constant,
    insert_own,
    number,
    owner_scope,
    view_of,
)
from app.infra.statements.revision import ONE, OWNERS, RESYNC_STEP, count_change, count_new_task, update_owner
from app.infra.statements.task_json import task_json
from app.infra.tables import TaskRow

TASKS: Final = view_of(TaskRow)
TASK_ID: Final = bindparam("task_id", type_=sa.Uuid)
VERSIONS: Final = bindparam("versions", type_=pg.ARRAY(sa.BigInteger))
AT: Final = bindparam("at", type_=TASKS.c.updated_at.type)
ALIVE: Final = TASKS.c.trashed_at.is_(None)
TRASHED: Final = TASKS.c.trashed_at.is_not(None)
ALWAYS: Final = sa.true()
THIS_TASK: Final = (*owner_scope(TASKS), TASKS.c.id == TASK_ID)  # conditions
SHOWN: Final = (task_json(TASKS).label("json"), TASKS.c.version)  # columns of a result
STATE: Final = (*SHOWN, TRASHED.label("trashed"))  # columns of a result
VERSIONS_SKIPPED: Final = 2**20  # for each resync: more than one task gets between a backup and its restore
RESYNCS_MAX: Final = 1_000  # versions stay below 2**31

_NOT_GIVEN: Final = ("user_id", "id", "trashed_at", "revision")
GIVEN: Final = {c.name: bindparam(c.name, type_=c.type) for c in TASKS.c if c.name not in _NOT_GIVEN}
"""The columns of a new task whose values are parameters of the same name."""

DERIVED: Final = frozenset({"title_key", "title_words", "description_words", "tag_keys"})
"""Columns that are computed from others. They do not count as a difference."""

SHOW: Final = compile_sql(select(*SHOWN).where(*THIS_TASK, ALIVE))


@dataclass(frozen=True, slots=True)
class Write:
    """A change of one task, and the SELECT that shows why it matched no row: 404, 412 or 409."""

    change: Statement
    read_state: Statement  # `json`, `version`, `trashed`, and whether the change `differs` from the task


def value_of(name: str) -> sa.ColumnElement[Any]:
    """Return the parameter for the value of a column."""
    return bindparam(name, type_=TASKS.c[name].type)


def differs_from(values: Mapping[str, sa.ColumnElement[Any]]) -> sa.ColumnElement[bool]:
    """Return whether new values change anything, as `app.domain.task.change_task` does."""
    return or_(*(TASKS.c[name].is_distinct_from(values[name]) for name in values if name not in DERIVED))


def stamps_of(revision: sa.ColumnElement[int]) -> dict[str, sa.ColumnElement[Any]]:
    """Return the values that every change of a task sets, with the owner's revision.

    A restored database would reach versions that clients already know, with other contents. So the first
    change after an `app resync` skips the versions that the task may have had before the restore. A task
    with revision 0 (from before migration 0007) would count too many resyncs: RESYNCS_MAX limits them.
    """
    one, step, skipped, most = (
        number(n, sa.BigInteger) for n in (1, RESYNC_STEP, VERSIONS_SKIPPED, RESYNCS_MAX)
    )
    resyncs = func.least(revision // step - TASKS.c.revision // step, most)
    return {"version": TASKS.c.version + one + resyncs * skipped, "updated_at": AT}


def completed_at(completed: sa.ColumnElement[bool]) -> sa.ColumnElement[datetime]:
    """Return the new `completed_at` for a new `completed` (`app.domain.task.change_task`, in SQL)."""
    return case((completed, func.coalesce(TASKS.c.completed_at, AT)))


def insert_new(counted: sa.CTE) -> Insert:
    """Return the INSERT of a new task, after it was counted in the owner's row."""
    values = {"id": TASK_ID, **GIVEN, "revision": counted.c.revision}
    return insert_own(TASKS, values, counted.c.revision.is_not(None))


INSERT: Final = compile_sql(insert_new(count_new_task()).returning(*SHOWN))


def new_values(names: tuple[str, ...]) -> tuple[dict[str, sa.ColumnElement[Any]], sa.ColumnElement[bool]]:
    """Return the new values of these columns and of `completed_at`, and whether they differ."""
    values = {name: value_of(name) for name in names}
    differs = differs_from(values)
    if "completed" in names:
        values["completed_at"] = completed_at(values["completed"])
    return values, differs


def toggle_values() -> dict[str, sa.ColumnElement[Any]]:
    """Return the new values of a task whose `completed` is toggled."""
    opposite = ~TASKS.c.completed
    return {"completed": opposite, "completed_at": completed_at(opposite)}


@lru_cache
def update_of(names: tuple[str, ...], *, conditional: bool = False) -> Write:
    """Return the write of new values of these columns, if any of them differs."""
    values, differs = new_values(names)
    return _write_of(values, ALIVE, conditional=conditional, differs=differs)


@lru_cache
def toggle(*, conditional: bool) -> Write:
    """Return the write that toggles `completed`."""
    return _write_of(toggle_values(), ALIVE, conditional=conditional)


@lru_cache
def trash(*, conditional: bool) -> Write:
    """Return the write that moves a task to the trash."""
    return _write_of({"trashed_at": AT}, ALIVE, conditional=conditional)


@lru_cache
def restore(*, conditional: bool) -> Write:
    """Return the write that takes a task out of the trash."""
    return _write_of({"trashed_at": null()}, TRASHED, conditional=conditional)


@lru_cache
def purge(*, conditional: bool) -> Write:
    """Return the write that deletes a task permanently, and every stored response that shows it.

    The statement sees only responses that were stored before it began. So it does nothing if the owner's row
    was changed while it waited for the lock of that row.
    """
    counts = select(OWNERS.c.revision, OWNERS.c.kept_answers.label("responses")).where(*owner_scope(OWNERS))
    seen, held = counts.cte("seen"), counts.with_for_update().cte("held")
    same = sa.tuple_(held.c.revision, held.c.responses) == sa.tuple_(seen.c.revision, seen.c.responses)
    unchanged = exists(select(held.c.revision).select_from(held.join(seen, same)))
    gone = delete(TASKS).where(*THIS_TASK, unchanged, *if_match(conditional)).returning(*SHOWN).cte("gone")
    is_gone = exists(select(gone.c.version))
    counts_after = tombstones.counts_after(tombstones.drop_old(ONE, is_gone), ONE)
    counts_after |= {"revision": OWNERS.c.revision + ONE, "tasks": OWNERS.c.tasks - ONE}
    ended = tombstones.insert_for(TASK_ID, update_owner(counts_after, is_gone)).cte("ended")
    anything = constant("%")
    pattern = func.concat(anything, sa.cast(TASK_ID, sa.Text), anything)
    emptied = idempotency.empty_responses(pg.array([TASK_ID]), pg.array([pattern])).where(is_gone)
    act = select(gone.c.json, gone.c.version).add_cte(ended, emptied.cte("emptied"))
    return Write(compile_sql(act), _state_statement(ALWAYS))


def _write_of(
    values: Mapping[str, sa.ColumnElement[Any]],
    where: sa.ColumnElement[bool],
    *,
    conditional: bool,
    differs: sa.ColumnElement[bool] = ALWAYS,
) -> Write:
    """Return the write of these values to one task, if `where` and `differs` are true of the task."""
    meets = and_(*THIS_TASK, where, *if_match(conditional), differs)
    change = update(TASKS).values(dict(values)).where(meets)
    act = only_if_counted(change, count_change(exists().where(meets)))
    return Write(compile_sql(act.returning(*SHOWN)), _state_statement(differs))


def if_match(conditional: bool) -> tuple[sa.ColumnElement[bool], ...]:  # noqa: FBT001 - its one argument
    """Return the condition on the task's version, if the write is conditional."""
    return (TASKS.c.version == func.any(VERSIONS),) if conditional else ()


def _state_statement(differs: sa.ColumnElement[bool]) -> Statement:
    return compile_sql(select(*STATE, differs.label("differs")).where(*THIS_TASK))


def states_of_tasks() -> sa.CTE:
    """Return the part that reads the tasks of several operations, to find out why these were not done."""
    these = TASKS.c.id == func.any(bindparam("ids", type_=pg.ARRAY(sa.Uuid)))
    return select(TASKS.c.id, *STATE).where(*owner_scope(TASKS), these).cte("task")


def only_if_counted(change: sa.Update, counted: sa.CTE) -> sa.Update:
    """Run a change only after it was counted in the owner's row, and stamp version, time and revision."""
    stamps = stamps_of(counted.c.revision) | {"revision": counted.c.revision}
    return change.values(stamps).where(counted.c.revision.is_not(None))
