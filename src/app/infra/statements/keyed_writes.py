"""Writes under an idempotency key: one statement claims the key, does the work and stores the response.

A statement reads the stored response first. If there is one, nothing else happens, and it is returned.
Otherwise the statement locks the owner's row, so a second request under the key waits there. After that wait
its snapshot is too old to show the first one's response: the primary key refuses its INSERT, all of it is
undone, and the caller reads the response.

A change computes the new row (`next`) and its JSON while it holds the task's lock, before it writes anything.
So it knows the size of the response when it decides whether the quota has room.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Insert,
    Integer,
    Select,
    TableClause,
    Text,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    select,
    true,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.dialects.postgresql import insert as upsert

from app.infra.statements.idempotency import (
    ANSWERS_MAX,
    KEPT,
    OCTETS_MAX,
    SINCE,
    THIS,
    forgetting,
    key_hash,
    value_of_response,
)
from app.infra.statements.owner_scope import OWNER, Statement, compiled, one_row_of, owner_scope, set_owner
from app.infra.statements.revision import AT_MOST, ONE, OWNERS
from app.infra.statements.task_json import task_json
from app.infra.statements.tasks import (
    ALIVE,
    CHANGED,
    ROW,
    SHOWN,
    TASKS,
    TRASHED,
    expected,
    new_values,
    toggled,
    value_of,
)

WAIT_MAX: Final = "1s"
"""How long a request waits for another one under its key."""

STORED: Final = ("fingerprint", "status", "headers", "body")


def _stored_before() -> CTE:
    """Return the response that is stored under the key, if it is young.

    By its order, only the primary key can answer this quickly. For an equality, PostgreSQL may read all
    responses of the owner by the index on `kept_at`: most owners have few.
    """
    place, key = tuple_(KEPT.c.route, KEPT.c.key), tuple_(*map(value_of_response, ("route", "key")))
    from_there = select(KEPT).where(*owner_scope(KEPT), place >= key).order_by(KEPT.c.route, KEPT.c.key)
    nearest = from_there.limit(ONE).subquery("nearest").c
    found = tuple_(nearest.route, nearest.key) == key
    return select(*(nearest[name] for name in STORED)).where(found, nearest.kept_at > SINCE).cte("answered")


def _in_turn() -> ColumnElement[bool]:
    """Return the condition that bounds the wait for a lock, if another request under the key is running.

    The first one waits as every write does. PostgreSQL refuses the others with 55P03.
    """
    setting: ColumnElement[str] = literal_column("'lock_timeout'")
    alone = func.pg_try_advisory_xact_lock(key_hash())
    bound = case((alone, func.current_setting(setting)), else_=literal_column(f"'{WAIT_MAX}'"))
    return select(func.set_config(setting, bound, true())).scalar_subquery().is_not(None)


def _storing(done: CTE, counted: CTE, task_id: ColumnElement[Any]) -> CTE:
    """Return the part that stores the response: the task's JSON, its entity tag, and the given headers."""
    quote = literal_column("'\"'", Text)
    tag = array([array([literal_column("'etag'", Text), func.concat(quote, done.c.version, quote)])])
    values = {"user_id": OWNER} | {c.name: value_of_response(c.name) for c in KEPT.c if c.name != "user_id"}
    values["headers"] = tag + value_of_response("headers")
    values["body"] = done.c.json
    values["task_ids"] = array([task_id])
    return _inserting(KEPT, values, counted).cte("stored")


def _inserting(view: TableClause, values: Mapping[str, ColumnElement[Any]], counted: CTE) -> Insert:
    source = _named(values).where(set_owner(), counted.c.revision.is_not(None))
    return insert(view).from_select(list(values), source)


def _named(values: Mapping[str, ColumnElement[Any]]) -> Select[Any]:
    return select(*(value.label(name) for name, value in values.items()))


def _result(done: CTE, counted: CTE, answered: CTE, *parts: CTE) -> Statement:
    """Return the whole statement. Its row is the task, and whether the work is `done`, or what is stored."""
    nothing = (null().cast(KEPT.c[name].type).label(name) for name in STORED)
    worked = select(done.c.json, done.c.version, _any(counted).label("done"), *nothing)
    replayed = select(null(), null(), literal_column("false"), *(answered.c[name] for name in STORED))
    both = union_all(worked.where(~_any(answered)), replayed)
    return compiled(both.add_cte(*parts, forgetting(_any(counted))))


def _any(rows: FromClause) -> ColumnElement[bool]:
    return exists(select(literal_column("1")).select_from(rows))


def _create() -> Statement:
    given = {c.name: value_of(c.name) for c in TASKS.c if c.name not in ("user_id", "id", "trashed_at")}
    row = {"user_id": OWNER, "id": ROW, **given, "trashed_at": null().cast(TASKS.c.trashed_at.type)}
    made = _with_json(_named(row))
    answered, octets = _stored_before(), func.octet_length(made.c.json)
    first: dict[str, ColumnElement[Any]] = {
        "user_id": OWNER,
        "revision": ONE,
        "tasks": ONE,
        "kept_answers": ONE,
        "kept_bytes": octets,
    }
    source = _named(first).where(set_owner(), _in_turn(), octets <= OCTETS_MAX, ~_any(answered))
    new, owner = upsert(OWNERS).from_select(list(first), source), OWNERS.c
    more = {name: owner[name] + new.excluded[name] for name in first if name != "user_id"}
    room = and_(owner.tasks < AT_MOST, owner.kept_answers < ANSWERS_MAX, more["kept_bytes"] <= OCTETS_MAX)
    counting = new.on_conflict_do_update(index_elements=[owner.user_id], set_=more, where=room)
    counted = counting.returning(owner.revision).cte("counted")
    values = {"user_id": OWNER} | {name: made.c[name] for name in ("id", *given)}
    inserted = _inserting(TASKS, values, counted).cte("inserted")
    return _result(made, counted, answered, inserted, _storing(made, counted, made.c.id))


def _with_json(rows: Select[Any]) -> CTE:
    """Return these rows of tasks with their JSON."""
    named = rows.subquery("next")
    return select(*named.c, task_json(named).label("json")).cte("next")


CREATE: Final = _create()


@lru_cache
def update_of(names: tuple[str, ...], *, conditional: bool) -> Statement:
    """Return the keyed form of `app.infra.statements.tasks.update_of`."""
    values, differs = new_values(names)
    return _change(values, differs, conditional=conditional)


@lru_cache
def toggle(*, conditional: bool) -> Statement:
    """Return the keyed form of `app.infra.statements.tasks.toggle`."""
    return _change(toggled(), true(), conditional=conditional)


def _change(
    values: Mapping[str, ColumnElement[Any]], differs: ColumnElement[bool], *, conditional: bool
) -> Statement:
    """Return the change of a task in the list. If nothing differs, the response is stored all the same."""
    answered = _stored_before()
    held = (
        select(OWNERS.c.revision)
        .where(_in_turn(), *owner_scope(OWNERS), OWNERS.c.kept_answers < ANSWERS_MAX, ~_any(answered))
        .with_for_update()
        .cte("held")
    )
    counted_up = {name: case((differs, value), else_=TASKS.c[name]) for name, value in CHANGED.items()}
    row = {c.name: c for c in TASKS.c} | dict(values) | counted_up
    seen = _named(row | {"differs": differs}).where(
        *owner_scope(TASKS), TASKS.c.id == ROW, ALIVE, *expected(conditional), held.c.revision.is_not(None)
    )
    done = _with_json(seen.with_for_update(of=TASKS))
    octets, owner = func.octet_length(done.c.json), OWNERS.c
    counted = (
        update(OWNERS)
        .values(
            revision=owner.revision + done.c.differs.cast(Integer),
            kept_answers=owner.kept_answers + ONE,
            kept_bytes=owner.kept_bytes + octets,
        )
        .where(*owner_scope(OWNERS), owner.kept_bytes + octets <= OCTETS_MAX)
        .returning(owner.revision)
        .cte("counted")
    )
    changed = (
        update(TASKS)
        .values({name: done.c[name] for name in (*values, *CHANGED)})
        .where(*owner_scope(TASKS), TASKS.c.id == ROW, done.c.differs, counted.c.revision.is_not(None))
        .cte("changed")
    )
    return _result(done, counted, answered, changed, _storing(done, counted, ROW))


def _look() -> Statement:
    """Return the statement that reads why a keyed write was not done. It has exactly one row."""
    counts = (OWNERS.c.tasks.label("count"), OWNERS.c.kept_answers.label("answers"), OWNERS.c.kept_bytes)
    of_task = select(*SHOWN, TRASHED.label("trashed")).where(*owner_scope(TASKS), TASKS.c.id == ROW)
    of_owner = select(*counts).where(*owner_scope(OWNERS))
    return one_row_of(of_task.cte("task"), of_owner.cte("owner"), _stored_before())


LOOK: Final = _look()

FORGET: Final = compiled(delete(KEPT).where(*owner_scope(KEPT), *THIS, KEPT.c.kept_at <= SINCE))
"""Deletes what is stored under a key, if it is old."""
