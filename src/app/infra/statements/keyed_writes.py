"""Writes under an idempotency key: one statement claims the key, does the work and stores the response.

A statement reads the stored response first. If there is one, it returns that and does nothing else. Otherwise
it locks the owner's row, computes the tasks as they will be (`next_tasks`) and their JSON, and stores the
response, if the quota has room for it. It does the rest only if it has stored the response.

A second request under the key waits for the owner's row. Then its snapshot is too old to show the first
response, but its INSERT conflicts with that response. So it changes nothing, and the caller reads again.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import case, exists, func, literal_column, null, select, true, tuple_, union_all, update
from sqlalchemy.dialects.postgresql import array

from app.infra.statements.idempotency import (
    BYTES_MAX,
    RESPONSES,
    RESPONSES_MAX,
    SINCE,
    SIZE,
    forget_old,
    key_hash,
    value_of_response,
)
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
    ALIVE,
    GIVEN,
    TASK_ID,
    TASKS,
    THIS_TASK,
    if_match,
    insert_new,
    new_values,
    stamps_of,
    states_of_tasks,
    toggle_values,
)

WAIT_MAX: Final = "1s"
"""How long a request waits for another one under its key."""

STORED: Final = ("fingerprint", "status", "headers", "body")  # the columns that are read


def read_stored() -> sa.CTE:
    """Return the part that reads the response under the key, if it has not expired.

    The ORDER BY makes PostgreSQL use the primary key. With `=` it may choose the index on `kept_at`, and read
    all responses of the owner.
    """
    place, key = tuple_(RESPONSES.c.route, RESPONSES.c.key), tuple_(*map(value_of_response, ("route", "key")))
    from_there = select(RESPONSES).where(*owner_scope(RESPONSES), place >= key)
    nearest = from_there.order_by(RESPONSES.c.route, RESPONSES.c.key).limit(ONE).subquery("nearest").c
    found = tuple_(nearest.route, nearest.key) == key
    return select(*(nearest[name] for name in STORED)).where(found, nearest.kept_at > SINCE).cte("response")


def _limit_wait() -> sa.ColumnElement[bool]:
    """Return the condition that limits the wait for a lock, if another request under the key is running.

    The first request waits as every write does. The others get 55P03 after WAIT_MAX.
    """
    alone = func.pg_try_advisory_xact_lock(key_hash())
    bound = func.set_config(constant("lock_timeout"), constant(WAIT_MAX), true())
    return select(case((alone, constant("")), else_=bound)).scalar_subquery().is_not(None)


def hold_owner(response: sa.CTE, *conditions: sa.ColumnElement[bool]) -> sa.CTE:
    """Return the part that locks the owner's row, if nothing is stored and there is room for one more."""
    free = (_limit_wait(), *owner_scope(OWNERS), OWNERS.c.kept_answers < RESPONSES_MAX, ~_has_rows(response))
    held = select(OWNERS.c.revision, OWNERS.c.kept_bytes).where(*free, *conditions)
    return held.with_for_update().cte("held")


def store(
    held: sa.CTE,
    source: sa.FromClause,
    body: sa.ColumnElement[bytes],
    task_ids: sa.ColumnElement[Any],
    headers: sa.ColumnElement[Any] | None = None,
    *conditions: sa.ColumnElement[bool],
) -> sa.CTE:
    """Return the part that stores the response, in place of an old one under the key.

    It returns the size of the response, or no row: then nothing may be done.
    """
    values = {c.name: value_of_response(c.name) for c in RESPONSES.c if c.name != "user_id"}
    values |= {"body": body, "task_ids": task_ids}
    if headers is not None:
        values["headers"] = headers + value_of_response("headers")
    has_room = held.c.kept_bytes + func.octet_length(body) <= BYTES_MAX
    new = insert_own(RESPONSES, values, *conditions, source=source.join(held, has_room))
    key = ("user_id", "route", "key")
    stored = new.on_conflict_do_update(
        index_elements=[RESPONSES.c[name] for name in key],
        set_={name: new.excluded[name] for name in values if name not in key},
        where=RESPONSES.c.kept_at <= SINCE,
    )
    return stored.returning(SIZE.label("size")).cte("stored")


def count_stored(
    stored: sa.CTE, changed: sa.ColumnElement[int], created: sa.ColumnElement[int] | None = None
) -> sa.CTE:
    """Return the part that counts what is done, and the stored response, in the owner's row."""
    counts = {
        "revision": OWNERS.c.revision + changed,
        "kept_answers": OWNERS.c.kept_answers + ONE,
        "kept_bytes": OWNERS.c.kept_bytes + stored.c.size,
    }
    if created is not None:
        counts["tasks"] = OWNERS.c.tasks + created
    return update_owner(counts, stored.c.size.is_not(None))


def result_of(
    next_tasks: sa.CTE, size: sa.ColumnElement[int], counted: sa.CTE, response: sa.CTE, *parts: sa.CTE
) -> Statement:
    """Return the whole statement.

    Its rows are the tasks, each with `done`: whether the write happened; or the stored response.
    """
    is_done = _has_rows(counted).label("done")
    tasks = select(next_tasks.c.id, next_tasks.c.json, next_tasks.c.version, size.label("size"), is_done)
    return compile_sql(_or_stored(tasks, response).add_cte(*parts, forget_old(_has_rows(counted))))


def _or_stored(rows: sa.Select[Any], response: sa.CTE) -> sa.CompoundSelect[Any]:
    """Return these rows, or the response that is stored under the key."""
    nothing = (null().cast(RESPONSES.c[name].type).label(name) for name in STORED)
    stored = select(*(null() for _ in rows.selected_columns), *(response.c[name] for name in STORED))
    return union_all(rows.add_columns(*nothing).where(~_has_rows(response)), stored)


def _has_rows(rows: sa.FromClause) -> sa.ColumnElement[bool]:
    return exists(select(literal_column("1")).select_from(rows))


def _store_task(held: sa.CTE, next_tasks: sa.CTE) -> sa.CTE:
    """Return the part that stores the JSON of one task, its entity tag, and the given headers."""
    quote = constant('"')
    etag = array([array([constant("etag"), func.concat(quote, next_tasks.c.version, quote)])])
    return store(held, next_tasks, next_tasks.c.json, array([next_tasks.c.id]), etag)


def _create() -> Statement:
    row = {"user_id": OWNER, "id": TASK_ID, **GIVEN, "trashed_at": null().cast(TASKS.c.trashed_at.type)}
    next_tasks, response = _with_json(row_of(row), "id", "version"), read_stored()
    stored = _store_task(hold_owner(response, OWNERS.c.tasks < TASKS_MAX), next_tasks)
    counted = count_stored(stored, ONE, ONE)
    inserted = insert_new(counted).cte("inserted")
    return result_of(next_tasks, func.octet_length(next_tasks.c.json), counted, response, inserted)


def _with_json(rows: sa.Select[Any], *names: str) -> sa.CTE:
    """Return these columns of rows of tasks, and their JSON. Each column costs time at each run."""
    new = rows.subquery("new")
    return select(*(new.c[name] for name in names), task_json(new).label("json")).cte("next_tasks")


CREATE: Final = _create()


@lru_cache
def update_of(names: tuple[str, ...], *, conditional: bool) -> Statement:
    """Return the keyed form of `app.infra.statements.tasks.update_of`."""
    values, differs = new_values(names)
    return _change(values, differs, conditional=conditional)


@lru_cache
def toggle(*, conditional: bool) -> Statement:
    """Return the keyed form of `app.infra.statements.tasks.toggle`."""
    return _change(toggle_values(), true(), conditional=conditional)


def _change(
    values: Mapping[str, sa.ColumnElement[Any]], differs: sa.ColumnElement[bool], *, conditional: bool
) -> Statement:
    """Return the change of a task in the list. If nothing differs, the response is stored anyway."""
    response = read_stored()
    held = hold_owner(response)
    stamps = stamps_of(held.c.revision)
    stamped = {name: case((differs, value), else_=TASKS.c[name]) for name, value in stamps.items()}
    row = {c.name: c for c in TASKS.c} | dict(values) | stamped
    seen = row_of(row | {"differs": differs}).where(
        *THIS_TASK, ALIVE, *if_match(conditional), held.c.revision.is_not(None)
    )
    written = (*values, *stamps)
    next_tasks = _with_json(seen.with_for_update(of=TASKS), "id", "differs", *written)
    stored = _store_task(held, next_tasks)
    counted = count_stored(stored, select(next_tasks.c.differs.cast(sa.Integer)).scalar_subquery())
    new = {name: next_tasks.c[name] for name in written} | {"revision": counted.c.revision}
    changed = (
        update(TASKS).values(new).where(*THIS_TASK, next_tasks.c.differs, counted.c.revision.is_not(None))
    )
    return result_of(
        next_tasks, func.octet_length(next_tasks.c.json), counted, response, changed.cte("changed")
    )


def _read_state() -> Statement:
    """Return the statement that reads why a keyed write was not done."""
    counts = (OWNERS.c.tasks.label("count"), OWNERS.c.kept_answers.label("responses"), OWNERS.c.kept_bytes)
    of_owner = select(*counts).where(*owner_scope(OWNERS)).cte("owner")
    return compile_sql(_or_stored(beside(of_owner, states_of_tasks()), read_stored()))


READ_STATE: Final = _read_state()
"""A row for each task found, or one without a task, each with the owner's counts. Or the stored response."""
