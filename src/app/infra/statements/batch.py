"""The statements of a batch, with and without a key, and the SELECT that reads why a batch was not done.

A statement reads its operations from one JSON parameter. It locks the owner's row and the tasks, and computes
all new rows (`next_tasks`) before it writes any. So it does all operations or none.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import bindparam, case, column, func, literal_column, or_, select, true, update
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from app.infra.statements import keyed_writes
from app.infra.statements.owner_scope import (
    OWNER,
    Statement,
    beside,
    compile_sql,
    constant,
    insert_own,
    owner_scope,
    row_of,
)
from app.infra.statements.revision import ONE, OWNERS, TASKS_MAX, update_owner
from app.infra.statements.task_json import task_json
from app.infra.statements.tasks import (
    AT,
    GIVEN,
    TASKS,
    TRASHED,
    completed_at,
    differs_from,
    stamps_of,
    states_of_tasks,
)

COLUMNS: Final = tuple(c for c in TASKS.c if c.name in GIVEN)
CHANGEABLE: Final = tuple(
    c.name
    for c in COLUMNS
    if c.name not in ("version", "created_at", "updated_at", "completed_at", "position")
)
COUNT: Final = bindparam("count", type_=sa.Integer)  # of operations
CREATED: Final = bindparam("created", type_=sa.Integer)
"""How many of the operations create a task."""
TEXTS: Final = bindparam("texts", type_=sa.ARRAY(sa.LargeBinary))
"""Text of the response before each task that it shows. `place` numbers these tasks."""
ENDING: Final = bindparam("ending", type_=sa.LargeBinary)


def _given() -> sa.TableValuedAlias:
    """Return the operations as rows. A missing member is NULL.

    The parameter is bytes, because the driver would block the event loop while it encodes a long text.
    """
    given = func.convert_from(bindparam("given", type_=sa.LargeBinary), constant("UTF8"))
    rows = sa.cast(given, JSONB)
    columns = (
        column("id", sa.Uuid),
        column("kind", sa.Text),
        column("names", sa.ARRAY(sa.Text)),
        column("versions", sa.ARRAY(sa.BigInteger)),
        column("place", sa.Integer),
        *(column(c.name, c.type) for c in COLUMNS),
    )
    function = func.jsonb_to_recordset(rows).table_valued(*columns)
    return function.render_derived(name="given", with_types=True)


def _kind_and_place(given: sa.Subquery) -> dict[str, sa.ColumnElement[Any]]:
    return {"kind": given.c.kind, "place": given.c.place}


def _changed_tasks(given: sa.Subquery, held: sa.CTE) -> sa.Select[Any]:
    """Return the existing tasks with their new values, and lock them."""
    kind = given.c.kind

    def named(name: str) -> sa.ColumnElement[bool]:
        return constant(name) == func.any(given.c.names)

    new: dict[str, sa.ColumnElement[Any]] = {
        name: case((named(name), given.c[name]), else_=TASKS.c[name]) for name in CHANGEABLE
    }
    differs = or_(kind != constant("change"), differs_from(new))
    new["completed_at"] = case(
        (named("completed"), completed_at(given.c.completed)), else_=TASKS.c.completed_at
    )
    new["trashed_at"] = case(
        (kind == constant("trash"), AT), (kind == constant("change"), TASKS.c.trashed_at)
    )
    stamps = stamps_of(held.c.revision)
    new |= {name: case((differs, value), else_=TASKS.c[name]) for name, value in stamps.items()}
    row = {c.name: new.get(c.name, c) for c in TASKS.c}
    as_expected = or_(given.c.versions.is_(None), TASKS.c.version == func.any(given.c.versions))
    return (
        row_of({**row, **_kind_and_place(given), "differs": differs})
        .where(
            *owner_scope(TASKS),
            TASKS.c.id == given.c.id,
            kind != constant("create"),
            (kind == constant("restore")) == TRASHED,
            as_expected,
            held.c.revision.is_not(None),
        )
        .with_for_update(of=TASKS)
    )


def _created_tasks(given: sa.Subquery, held: sa.CTE) -> sa.Select[Any]:
    row: dict[str, sa.ColumnElement[Any]] = {"id": given.c.id} | {c.name: given.c[c.name] for c in COLUMNS}
    row |= {"user_id": OWNER, "trashed_at": sa.null().cast(TASKS.c.trashed_at.type)}
    row["revision"] = held.c.revision  # not stored: `_write_next` sets the next revision
    row = {c.name: row[c.name] for c in TASKS.c} | _kind_and_place(given) | {"differs": true()}
    return row_of(row).where(given.c.kind == constant("create"), held.c.revision.is_not(None))


def _has_room() -> sa.ColumnElement[bool]:
    return or_(CREATED < ONE, OWNERS.c.tasks + CREATED <= TASKS_MAX)


def _compute_next(held: sa.CTE) -> tuple[sa.CTE, sa.ColumnElement[bool], sa.ColumnElement[int]]:
    """Return the new rows with their JSON, whether each operation has one, and 1 if any differs, else 0."""
    # When PostgreSQL plans, it does not know these two limits, and expects that each keeps a tenth of the
    # rows: of the 100 rows that it expects from JSON, one. So it looks up each task, and does not read all
    # tasks.
    few = select(_given()).limit(select(COUNT).scalar_subquery()).subquery("few")
    given = select(few).limit(select(COUNT).scalar_subquery()).subquery("given")
    found = select(_changed_tasks(given, held).subquery("found"))
    rows = sa.union_all(found, _created_tasks(given, held)).subquery("next")
    next_tasks = select(*rows.c, task_json(rows).label("json")).cte("next_tasks")
    met = select(func.count()).select_from(next_tasks)
    changed = met.where(next_tasks.c.differs).scalar_subquery()
    return next_tasks, met.scalar_subquery() == COUNT, func.least(changed, ONE)


def _write_next(next_tasks: sa.CTE, counted: sa.CTE) -> tuple[sa.CTE, sa.CTE]:
    """Return the parts that write the new rows, if the batch was counted in the owner's row."""
    names = (*CHANGEABLE, "completed_at", "trashed_at", "version", "updated_at")
    updated = (
        update(TASKS)
        .values({name: next_tasks.c[name] for name in names} | {"revision": counted.c.revision})
        .where(
            *owner_scope(TASKS),
            TASKS.c.id == next_tasks.c.id,
            next_tasks.c.differs,
            next_tasks.c.kind != constant("create"),
            counted.c.revision.is_not(None),
        )
        .cte("updated")
    )
    values = {name: next_tasks.c[name] for name in ("id", *GIVEN)} | {"revision": counted.c.revision}
    is_new = next_tasks.c.kind == constant("create")
    return updated, insert_own(TASKS, values, is_new, counted.c.revision.is_not(None)).cte("inserted")


def _apply() -> Statement:
    held = select(OWNERS.c.revision).where(*owner_scope(OWNERS), _has_room()).with_for_update().cte("held")
    next_tasks, is_complete, changed = _compute_next(held)
    counts = {"revision": OWNERS.c.revision + changed, "tasks": OWNERS.c.tasks + CREATED}
    counted = update_owner(counts, is_complete)
    is_done = sa.exists(select(counted.c.revision)).label("done")
    result = select(next_tasks.c.id, next_tasks.c.json, next_tasks.c.version, is_done)
    return compile_sql(result.add_cte(*_write_next(next_tasks, counted)))


def _apply_keyed() -> Statement:
    response = keyed_writes.read_stored()
    held = keyed_writes.hold_owner(response, _has_room())
    next_tasks, is_complete, changed = _compute_next(held)
    nothing = literal_column("''::bytea", sa.LargeBinary)
    texts, place = select(TEXTS.label("texts")).subquery("form").c.texts, next_tasks.c.place
    parts = func.string_agg(texts[place].concat(next_tasks.c.json), aggregate_order_by(nothing, place))
    body = func.coalesce(parts, nothing).concat(ENDING)
    ids = func.coalesce(
        func.array_agg(next_tasks.c.id).filter(place.is_not(None)), literal_column("'{}'::uuid[]")
    )
    whole = select(body.label("body"), ids.label("task_ids")).select_from(next_tasks).cte("whole")
    stored = keyed_writes.store(held, whole, whole.c.body, whole.c.task_ids, None, is_complete)
    counted = keyed_writes.count_stored(stored, changed, CREATED)
    size = select(func.octet_length(whole.c.body)).scalar_subquery()
    return keyed_writes.result_of(next_tasks, size, counted, response, *_write_next(next_tasks, counted))


APPLY: Final = _apply()
"""`id`, `json` and `version` of each task, and `done`: whether all operations are done. If not, none is."""

APPLY_KEYED: Final = _apply_keyed()
"""The same under a key; see `app.infra.statements.keyed_writes`."""

_COUNT_OF_TASKS: Final = select(OWNERS.c.tasks.label("count")).where(*owner_scope(OWNERS)).cte("owner")
READ_STATE: Final = compile_sql(beside(_COUNT_OF_TASKS, states_of_tasks()))
"""A row for each task found, or one row without a task, each with the owner's `count` of tasks."""
