"""The statements about answers that are kept for whoever repeats a request."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, bindparam, delete, func, literal_column, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from app.infra.rows import KeptAnswerRow
from app.infra.statements.walls import OWNER, Statement, compiled, told, view_of, walls

KEPT: Final = view_of(KeptAnswerRow)
FORGOTTEN_AT_ONCE: Final = literal_column("100", Integer)  # rows; more than are kept, so old ones run out
SINCE: Final = bindparam("since", type_=KEPT.c.kept_at.type)


def _value(name: str) -> ColumnElement[Any]:
    return bindparam(name, type_=KEPT.c[name].type)


THIS: Final = (KEPT.c.route == _value("route"), KEPT.c.key == _value("key"))

# Taken until the transaction ends. An INSERT of the key would make whoever comes second wait instead of
# telling them. Should two keys ever have one hash, one of them is tried again.
LOCK: Final = compiled(
    select(
        func.pg_try_advisory_xact_lock(
            func.hashtextextended(
                func.concat_ws(literal_column("chr(10)"), OWNER, _value("route"), _value("key")),
                literal_column("0"),
            )
        ).label("taken")
    )
)

# After LOCK, in a statement of its own: this one sees what was committed before the lock was free.
FIND: Final = compiled(
    select(KEPT.c.fingerprint, KEPT.c.status, KEPT.c.headers, KEPT.c.body).where(
        *walls(KEPT), *THIS, KEPT.c.kept_at > SINCE
    )
)


def _keep() -> Statement:
    old = (
        select(KEPT.c.route, KEPT.c.key)
        .where(*walls(KEPT), KEPT.c.kept_at <= SINCE)
        .limit(FORGOTTEN_AT_ONCE)
        .with_for_update(skip_locked=True)  # what another request forgets or keeps anew is its business
        .correlate(None)
    )
    # Of two changes to one row in one statement either may be done: this key's row is left to the INSERT.
    another = tuple_(KEPT.c.route, KEPT.c.key) != tuple_(_value("route"), _value("key"))
    forgotten = (
        delete(KEPT).where(*walls(KEPT), tuple_(KEPT.c.route, KEPT.c.key).in_(old), another).cte("forgotten")
    )
    values = {"user_id": OWNER} | {c.name: _value(c.name) for c in KEPT.c if c.name != "user_id"}
    source = select(*(value.label(name) for name, value in values.items())).where(told())
    new = insert(KEPT).from_select(list(values), source)
    anew = {name: new.excluded[name] for name in ("fingerprint", "status", "headers", "body", "kept_at")}
    keys = (KEPT.c.user_id, KEPT.c.route, KEPT.c.key)
    return compiled(new.on_conflict_do_update(index_elements=keys, set_=anew).add_cte(forgotten))


KEEP: Final = _keep()
