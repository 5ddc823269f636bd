"""The statements of a batch: one for each kind of operation, whose rows are read from one JSON parameter.

They run in one transaction, HOLD (`app.infra.statements.revision`) first and COUNT last.
"""

from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Integer,
    TableValuedAlias,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    column,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from app.infra.statements.owner_scope import OWNER, Statement, compiled, owner_scope, set_owner
from app.infra.statements.revision import ONE, OWNERS
from app.infra.statements.tasks import ALIVE, AT, CHANGED, SHOWN, TASKS, TRASHED, completed_at, differs_from
from app.infra.tables import TaskRow

COLUMNS: Final = tuple(c for c in TaskRow.__table__.columns if c.name not in ("user_id", "id", "trashed_at"))
CHANGEABLE: Final = tuple(
    c for c in COLUMNS if c.name not in ("version", "created_at", "updated_at", "completed_at", "position")
)
FOUND: Final = (TASKS.c.id, *SHOWN)


def _given(*columns: ColumnElement[Any]) -> TableValuedAlias:
    """Return what is given, as rows of these columns; a member that is not there is NULL."""
    rows = cast(bindparam("given", type_=Text), postgresql.JSONB)
    function = func.jsonb_to_recordset(rows).table_valued(column("id", Uuid), *columns)
    return function.render_derived(name="given", with_types=True)


COUNT: Final = compiled(
    update(OWNERS)
    .values(revision=OWNERS.c.revision + ONE, tasks=OWNERS.c.tasks + bindparam("more", type_=Integer))
    .where(*owner_scope(OWNERS))
)


def _insert() -> Statement:
    given = _given(*(column(c.name, c.type) for c in COLUMNS))
    values = {"user_id": OWNER, "id": given.c.id} | {c.name: given.c[c.name] for c in COLUMNS}
    source = select(*(value.label(name) for name, value in values.items())).where(set_owner())
    return compiled(insert(TASKS).from_select(list(values), source).returning(*FOUND))


INSERT: Final = _insert()


def _change() -> Statement:
    """Give each task the columns that are named for it; one to which that makes no difference is not met."""
    names = column("names", ARRAY(Text))
    given = _given(names, _versions(), *(column(c.name, c.type) for c in CHANGEABLE))

    def named(name: str) -> ColumnElement[bool]:
        return literal_column(f"'{name}'", Text) == func.any(given.c.names)

    new: dict[str, ColumnElement[Any]] = {
        c.name: case((named(c.name), given.c[c.name]), else_=TASKS.c[c.name]) for c in CHANGEABLE
    }
    differs = differs_from(new)
    new["completed_at"] = case(
        (named("completed"), completed_at(given.c.completed)), else_=TASKS.c.completed_at
    )
    return _each(given, new, ALIVE, differs)


def _versions() -> ColumnElement[Any]:
    return column("versions", ARRAY(BigInteger))


def _each(
    given: TableValuedAlias, values: dict[str, ColumnElement[Any]], *conditions: ColumnElement[bool]
) -> Statement:
    as_expected = or_(given.c.versions.is_(None), TASKS.c.version == func.any(given.c.versions))
    change = update(TASKS).values(values | CHANGED)
    return compiled(
        change.where(*owner_scope(TASKS), TASKS.c.id == given.c.id, as_expected, *conditions).returning(
            *FOUND
        )
    )


CHANGE: Final = _change()
TRASH: Final = _each(_given(_versions()), {"trashed_at": AT}, ALIVE)
RESTORE: Final = _each(_given(_versions()), {"trashed_at": null()}, TRASHED)

LOOK: Final = compiled(
    select(*FOUND, TRASHED.label("trashed")).where(
        *owner_scope(TASKS), TASKS.c.id == func.any(bindparam("ids", type_=ARRAY(Uuid)))
    )
)
