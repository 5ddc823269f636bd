"""The statements about stored responses."""

from typing import Any, Final

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    SmallInteger,
    Text,
    Update,
    Uuid,
    and_,
    any_,
    bindparam,
    delete,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from app.infra.statements.owner_scope import OWNER, Statement, compiled, owner_scope, set_owner, view_of
from app.infra.statements.revision import ONE, OWNERS
from app.infra.tables import StoredResponseRow

KEPT: Final = view_of(StoredResponseRow)
FORGOTTEN_AT_ONCE: Final = literal_column(
    "100", Integer
)  # rows; more than one request adds, so old ones run out
GONE: Final = 410
"""The status of a response that was emptied: only its key is left."""
NOTHING: Final = literal_column("0", Integer)
OCTETS: Final = bindparam("octets", type_=BigInteger)
OCTETS_MAX: Final = bindparam("octets_at_most", type_=BigInteger)
ANSWERS_MAX: Final = bindparam("answers_at_most", type_=Integer)
SINCE: Final = bindparam("since", type_=KEPT.c.kept_at.type)


def value_of_response(name: str) -> ColumnElement[Any]:
    """Return the value that will be given for a column of a stored response."""
    return bindparam(name, type_=KEPT.c[name].type)


def key_hash() -> ColumnElement[int]:
    """Return the number of a key as advisory locks have it."""
    parts = (OWNER, value_of_response("route"), value_of_response("key"))
    return func.hashtextextended(func.concat_ws(literal_column("chr(10)"), *parts), literal_column("0"))


THIS: Final = (KEPT.c.route == value_of_response("route"), KEPT.c.key == value_of_response("key"))

# Held until the transaction ends. With an INSERT of the key the second request would wait instead of getting
# 409 at once. Two keys with one hash cannot run at the same time: one of them gets 409.
LOCK: Final = compiled(select(func.pg_try_advisory_xact_lock(key_hash()).label("taken")))

# After LOCK, in a statement of its own: this one sees what was committed before the lock was free.
FIND: Final = compiled(
    select(KEPT.c.fingerprint, KEPT.c.status, KEPT.c.headers, KEPT.c.body).where(
        *owner_scope(KEPT), *THIS, KEPT.c.kept_at > SINCE
    )
)


def _counted() -> CTE:
    """Return the part of a statement that counts the response. It returns no row if the quota is full."""
    columns = OWNERS.c
    given: dict[str, ColumnElement[Any]] = {
        "user_id": OWNER,
        "revision": NOTHING,
        "tasks": NOTHING,
        "kept_answers": ONE,
        "kept_bytes": OCTETS,
    }
    first = select(*(value.label(name) for name, value in given.items())).where(
        set_owner(), OCTETS <= OCTETS_MAX
    )
    more = {"kept_answers": columns.kept_answers + ONE, "kept_bytes": columns.kept_bytes + OCTETS}
    room = and_(columns.kept_answers < ANSWERS_MAX, more["kept_bytes"] <= OCTETS_MAX)
    new = insert(OWNERS).from_select(list(given), first)
    return (
        new.on_conflict_do_update(index_elements=[columns.user_id], set_=more, where=room)
        .returning(columns.kept_answers)
        .cte("counted")
    )


def forgetting(*conditions: ColumnElement[bool]) -> CTE:
    """Return the part of a statement that deletes some old responses, and not this key's."""
    old = (
        select(KEPT.c.route, KEPT.c.key)
        .where(*owner_scope(KEPT), KEPT.c.kept_at <= SINCE)
        .limit(FORGOTTEN_AT_ONCE)
        .with_for_update(skip_locked=True)  # what another request forgets or keeps anew is its business
        .correlate(None)
    )
    # PostgreSQL may apply either of two changes to one row in one statement: this key's row is the INSERT's.
    another = tuple_(KEPT.c.route, KEPT.c.key) != tuple_(value_of_response("route"), value_of_response("key"))
    # Without statistics, PostgreSQL may begin with all responses of the owner: the oldest is looked at first.
    oldest = select(KEPT.c.kept_at).where(*owner_scope(KEPT)).order_by(KEPT.c.kept_at).limit(ONE)
    there_are = oldest.correlate(None).scalar_subquery() <= SINCE
    these = (there_are, tuple_(KEPT.c.route, KEPT.c.key).in_(old), another)
    return delete(KEPT).where(*owner_scope(KEPT), *conditions, *these).cte("forgotten")


def _keep() -> Statement:
    counted = _counted()
    values = {"user_id": OWNER} | {c.name: value_of_response(c.name) for c in KEPT.c if c.name != "user_id"}
    source = select(*(value.label(name) for name, value in values.items()))
    source = source.where(set_owner(), counted.c.kept_answers.is_not(None))
    new = insert(KEPT).from_select(list(values), source)
    keys = ("user_id", "route", "key")
    anew = {name: new.excluded[name] for name in values if name not in keys}
    kept = new.on_conflict_do_update(index_elements=[KEPT.c[name] for name in keys], set_=anew)
    return compiled(kept.returning(KEPT.c.kept_at).add_cte(forgetting()))


KEEP: Final = _keep()
"""Returns no row if the quota is full."""


def _count_anew() -> Statement:
    young = (*owner_scope(KEPT), KEPT.c.kept_at > SINCE)
    counts = {
        "kept_answers": select(func.count()).where(*young).scalar_subquery(),
        "kept_bytes": select(func.coalesce(func.sum(_octets()), NOTHING)).where(*young).scalar_subquery(),
    }
    forgotten = delete(KEPT).where(*owner_scope(KEPT), KEPT.c.kept_at <= SINCE).cte("forgotten")
    anew = update(OWNERS).values(counts).where(*owner_scope(OWNERS))
    return compiled(anew.returning(OWNERS.c.kept_answers, OWNERS.c.kept_bytes).add_cte(forgotten))


def _octets() -> ColumnElement[int]:
    return func.octet_length(KEPT.c.body)


COUNT_ANEW: Final = _count_anew()


def _room_after() -> Statement:
    """Return the statement that reads in how many seconds enough responses will have expired."""
    order = (KEPT.c.kept_at, KEPT.c.route, KEPT.c.key)
    freed = (
        select(
            KEPT.c.kept_at,
            func.row_number().over(order_by=order).label("answers"),
            func.sum(_octets()).over(order_by=order).label("octets"),
        )
        .where(*owner_scope(KEPT), KEPT.c.kept_at > SINCE)
        .subquery("freed")
    )
    enough = (freed.c.answers >= bindparam("answers", type_=BigInteger)) & (
        freed.c.octets >= bindparam("octets", type_=BigInteger)
    )
    after = func.extract("epoch", func.min(freed.c.kept_at) - SINCE)
    return compiled(select(after.label("seconds")).where(enough))


ROOM_AFTER: Final = _room_after()


def gone(ids: ColumnElement[Any], patterns: ColumnElement[Any]) -> Update:
    """Return the update that empties all responses that show one of these tasks, and keeps their keys.

    Responses stored before migration 0005 have no ids of tasks: the ids are searched in their text.
    """
    text = func.convert_from(KEPT.c.body, literal_column("'UTF8'"))
    shown = or_(KEPT.c.task_ids.overlap(ids), and_(KEPT.c.task_ids.is_(None), text.like(any_(patterns))))
    nothing = {
        "status": literal_column(str(GONE), SmallInteger),
        "headers": literal_column("'{}'"),
        "body": literal_column("''"),
    }
    return update(KEPT).values(nothing).where(*owner_scope(KEPT), shown)


END: Final = compiled(gone(bindparam("ids", type_=ARRAY(Uuid)), bindparam("patterns", type_=ARRAY(Text))))
