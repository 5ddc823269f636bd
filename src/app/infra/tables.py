"""Table shapes. Rows are data: they have no behaviour and never leave `app.infra`."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from advanced_alchemy.base import CommonTableAttributes
from advanced_alchemy.types import DateTimeUTC
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

USER_ID_MAX: Final = 255  # characters
NOW: Final = text("now()")
NOTHING: Final = text("''")
NO_TEXTS: Final = text("'{}'")

ORDERS: Final = {
    "created": "id",
    "updated": "updated_at",
    "due": "due_at",
    "priority": "priority",
    "title": "title_key",
    "position": "position",
}
"""The column of each order that a list can have. All are of types whose comparison is leakproof: under a
policy no other can bound an index."""


class OwnedRow(CommonTableAttributes, DeclarativeBase):
    """A row that belongs to one person.

    The primary key begins with the owner, and so does every access path: a person's rows lie together,
    and the table can be partitioned or distributed by owner. The service never touches the table, only
    the view `own_<table>`, which is under row-level security for every role
    (`app.infra.postgres.row_security_check`).
    """

    __abstract__ = True
    metadata = MetaData(
        naming_convention={"pk": "pk_%(table_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s"}
    )

    # Collation "C": equality and order by bytes, the fastest that PostgreSQL has, and leakproof.
    user_id: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True, sort_order=-2)

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        """Hold the owner to its shape."""
        return (CheckConstraint(f"char_length(user_id) BETWEEN 1 AND {USER_ID_MAX}", name="user_id"),)


class TaskOwnerRow(OwnedRow):
    """What is known of one person's tasks as a whole. Each write of theirs takes this row first."""

    __tablename__ = "task_owners"

    revision: Mapped[int] = mapped_column(BigInteger)  # grows with each write, in its transaction
    tasks: Mapped[int]  # how many there are, those in the trash too
    # Of `kept_answers`. Deleted rows may still be counted: a request that finds the quota full counts again.
    kept_answers: Mapped[int] = mapped_column(server_default=text("0"))
    kept_bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class TaskRow(OwnedRow):
    """One task. The checks repeat the rules of `app.domain`, for writes that do not come from the service."""

    __tablename__ = "tasks"

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    completed: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True), server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True), server_default=NOW)
    due_at: Mapped[datetime | None] = mapped_column(DateTimeUTC(timezone=True))
    due_whole_day: Mapped[bool] = mapped_column(server_default=text("false"))
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=NO_TEXTS)
    tag_keys: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=NO_TEXTS)  # `domain.tags.tag_key`
    position: Mapped[str] = mapped_column(Text(collation="C"))
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("1"))
    completed_at: Mapped[datetime | None] = mapped_column(DateTimeUTC(timezone=True))
    trashed_at: Mapped[datetime | None] = mapped_column(DateTimeUTC(timezone=True))  # None: not in the trash
    title_key: Mapped[str] = mapped_column(
        Text(collation="C"), server_default=NOTHING
    )  # `domain.text.sort_key`
    title_words: Mapped[str] = mapped_column(Text, server_default=NOTHING)  # `domain.text.searchable`
    description_words: Mapped[str] = mapped_column(Text, server_default=NOTHING)

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        """Hold the values to their rules, and give every order its index (`app.infra.statements.lists`)."""
        alive = text("trashed_at IS NULL")
        paths = [("id",), *(dict.fromkeys(("completed", column, "id")) for column in ORDERS.values())]
        return (
            *super().__table_args__,
            CheckConstraint("char_length(title) BETWEEN 1 AND 255", name="title"),
            CheckConstraint("char_length(description) <= 10000", name="description"),
            CheckConstraint("cardinality(tags) <= 20", name="tags"),
            CheckConstraint("priority BETWEEN 0 AND 3", name="priority"),
            *(
                Index(f"ix_tasks_{'_'.join(path)}", "user_id", *path, postgresql_where=alive)
                for path in paths
            ),
            Index("ix_tasks_trashed", "user_id", "id", postgresql_where=text("trashed_at IS NOT NULL")),
        )


class StoredResponseRow(OwnedRow):
    """What a request with an `Idempotency-Key` was answered."""

    __tablename__ = "kept_answers"

    route: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True, sort_order=-1)
    key: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True, sort_order=-1)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(SmallInteger)
    headers: Mapped[list[list[str]]] = mapped_column(ARRAY(Text))  # pairs of name and value
    body: Mapped[bytes] = mapped_column(LargeBinary)
    kept_at: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True))
    task_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))  # shown in `body`; NULL: not known

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        """Find what is old, and bound what a request can choose."""
        return (
            *super().__table_args__,
            CheckConstraint("char_length(key) BETWEEN 1 AND 255", name="key"),
            CheckConstraint("char_length(route) <= 255", name="route"),
            CheckConstraint("cardinality(task_ids) <= 100", name="task_ids"),
            Index("ix_kept_answers_kept_at", "user_id", "kept_at"),
        )
