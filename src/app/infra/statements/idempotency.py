"""The statements about stored responses."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import and_, any_, bindparam, delete, func, literal_column, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY

from app.infra.statements.owner_scope import (
    OWNER,
    Statement,
    compile_sql,
    constant,
    number,
    owner_scope,
    view_of,
)
from app.infra.statements.revision import ONE, OWNERS
from app.infra.tables import StoredResponseRow

RESPONSES: Final = view_of(StoredResponseRow)
GONE: Final = 410
"""The status of a response that was emptied: only its key is left."""
BYTES_MAX: Final = bindparam("bytes_at_most", type_=sa.BigInteger)
RESPONSES_MAX: Final = bindparam("responses_at_most", type_=sa.Integer)
SINCE: Final = bindparam("since", type_=RESPONSES.c.kept_at.type)
"""A response of this time or earlier has expired."""
SIZE: Final = func.octet_length(RESPONSES.c.body)


def value_of_response(name: str) -> sa.ColumnElement[Any]:
    """Return the value that will be given for a column of a stored response."""
    return bindparam(name, type_=RESPONSES.c[name].type)


def key_hash() -> sa.ColumnElement[int]:
    """Return the 64-bit number of a key, for an advisory lock."""
    parts = (OWNER, value_of_response("route"), value_of_response("key"))
    return func.hashtextextended(func.concat_ws(literal_column("chr(10)"), *parts), number(0))


def forget_old(*conditions: sa.ColumnElement[bool]) -> sa.CTE:
    """Return the part of a statement that deletes old responses, except the one under this key."""
    # The INSERT of the same statement replaces that response. A statement must not change a row twice.
    place = tuple_(RESPONSES.c.route, RESPONSES.c.key)
    another = place != tuple_(value_of_response("route"), value_of_response("key"))
    old = (*owner_scope(RESPONSES), RESPONSES.c.kept_at <= SINCE)
    return delete(RESPONSES).where(*old, another, *conditions).cte("forgotten")


def _count_anew() -> Statement:
    young = (*owner_scope(RESPONSES), RESPONSES.c.kept_at > SINCE)
    counts = {
        "revision": OWNERS.c.revision
        + ONE,  # so that a permanent deletion that waits for the row starts again
        "kept_answers": select(func.count()).where(*young).scalar_subquery(),
        "kept_bytes": select(func.coalesce(func.sum(SIZE), number(0))).where(*young).scalar_subquery(),
    }
    forgotten = (
        delete(RESPONSES).where(*owner_scope(RESPONSES), RESPONSES.c.kept_at <= SINCE).cte("forgotten")
    )
    anew = update(OWNERS).values(counts).where(*owner_scope(OWNERS))
    return compile_sql(anew.returning(OWNERS.c.kept_answers, OWNERS.c.kept_bytes).add_cte(forgotten))


COUNT_ANEW: Final = _count_anew()


def _room_after() -> Statement:
    """Return the statement that reads in how many seconds enough responses will have expired."""
    order = (RESPONSES.c.kept_at, RESPONSES.c.route, RESPONSES.c.key)
    freed = (
        select(
            RESPONSES.c.kept_at,
            func.row_number().over(order_by=order).label("responses"),
            func.sum(SIZE).over(order_by=order).label("bytes"),
        )
        .where(*owner_scope(RESPONSES), RESPONSES.c.kept_at > SINCE)
        .subquery("freed")
    )
    enough = (freed.c.responses >= bindparam("responses", type_=sa.BigInteger)) & (
        freed.c.bytes >= bindparam("bytes", type_=sa.BigInteger)
    )
    after = func.extract("epoch", func.min(freed.c.kept_at) - SINCE)
    return compile_sql(select(after.label("seconds")).where(enough))


ROOM_AFTER: Final = _room_after()


def empty_responses(ids: sa.ColumnElement[Any], patterns: sa.ColumnElement[Any]) -> sa.Update:
    """Return the update that empties all responses that show one of these tasks, and keeps their keys.

    Responses stored before migration 0005 have no ids of tasks: the ids are searched in their text.
    """
    text = func.convert_from(RESPONSES.c.body, constant("UTF8"))
    shown = or_(
        RESPONSES.c.task_ids.overlap(ids), and_(RESPONSES.c.task_ids.is_(None), text.like(any_(patterns)))
    )
    nothing = {"status": number(GONE, sa.SmallInteger), "headers": constant("{}"), "body": constant("")}
    return update(RESPONSES).values(nothing).where(*owner_scope(RESPONSES), shown)


EMPTY_RESPONSES: Final = compile_sql(
    empty_responses(bindparam("ids", type_=ARRAY(sa.Uuid)), bindparam("patterns", type_=ARRAY(sa.Text)))
)
