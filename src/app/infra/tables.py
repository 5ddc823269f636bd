"""The tables. Rows have no behaviour and never leave `app.infra`."""

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
EMPTY_TEXT: Final = text("''")
NO_TEXTS: Final = text("'{}'")

ORDERS: Final = {
    "created": "id",
    "updated": "revision",
    "due": "due_at",
    "priority": "priority",
    "title": "title_key",
    "position": "position",
}
"""The column of each order of a list. Under row-level security PostgreSQL uses an index only if the
comparison of the type is leakproof. All of these are."""


class OwnedRow(CommonTableAttributes, DeclarativeBase):
    """A row that belongs to one person. The primary key and every index begin with the owner.

    The service uses only the view `own_<table>`, which is under row-level security for every role
    (`app.infra.postgres.row_security_check`).
    """

    __abstract__ = True
    metadata = MetaData(
        naming_convention={"pk": "pk_%(table_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s"}
    )

    # Collation "C" compares bytes: it is the fastest, and leakproof.
    user_id: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True, sort_order=-2)

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        """Return the checks of the owner."""
        return (CheckConstraint(f"char_length(user_id) BETWEEN 1 AND {USER_ID_MAX}", name="user_id"),)


class TaskOwnerRow(OwnedRow):
    """One row per person, about all of their tasks. Each write locks this row first."""

    __tablename__ = "task_owners"

    revision: Mapped[int] = mapped_column(BigInteger)  # incremented by each write, in its transaction
    tasks: Mapped[int]  # the number of tasks, including the trash
    # Rows of `kept_answers`, or a larger number: a request that finds the quota full counts again.
    kept_answers: Mapped[int] = mapped_column(server_default=text("0"))
    kept_bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    # The lowest revision whose token of changes is valid.
    floor: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    tombstones: Mapped[int] = mapped_column(server_default=text("0"))  # rows of `ended_tasks`


class TaskRow(OwnedRow):
    """A task. The checks repeat the rules of `app.domain`, for writes that bypass the service."""

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
    # Computed by `app.domain.tags.tag_key`.
    tag_keys: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=NO_TEXTS)
    position: Mapped[str] = mapped_column(Text(collation="C"))
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("1"))
    completed_at: Mapped[datetime | None] = mapped_column(DateTimeUTC(timezone=True))
    trashed_at: Mapped[datetime | None] = mapped_column(DateTimeUTC(timezone=True))  # None: not in the trash
    # Computed by `sort_key` and `searchable` of `app.domain.text`.
    title_key: Mapped[str] = mapped_column(Text(collation="C"), server_default=EMPTY_TEXT)
    title_words: Mapped[str] = mapped_column(Text, server_default=EMPTY_TEXT)
    description_words: Mapped[str] = mapped_column(Text, server_default=EMPTY_TEXT)
    # The owner's revision of the last write; 0: written before migration 0007.
    revision: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        """Return the checks of the values, and an index for each order (`app.infra.statements.lists`).

        Each check costs time at each write. `user_id` has none here: the owner's row, which the service
        writes first, has one.
        """
        alive, trashed = text("trashed_at IS NULL"), text("trashed_at IS NOT NULL")
        # `dict.fromkeys` drops the second `id` of the order by creation.
        indexed = [("id",), *(dict.fromkeys(("completed", column, "id")) for column in ORDERS.values())]
        return (
            CheckConstraint("char_length(title) BETWEEN 1 AND 255", name="title"),
            CheckConstraint("char_length(description) <= 10000", name="description"),
            CheckConstraint("cardinality(tags) <= 20", name="tags"),
            CheckConstraint("priority BETWEEN 0 AND 3", name="priority"),
            *(
                Index(f"ix_tasks_{'_'.join(columns)}", "user_id", *columns, postgresql_where=alive)
                for columns in indexed
            ),
            Index("ix_tasks_trashed", "user_id", "id", postgresql_where=trashed),
            Index("ix_tasks_trashed_revision", "user_id", "revision", "id", postgresql_where=trashed),
        )


class EndedTaskRow(OwnedRow):
    """A tombstone: the id of a task that was deleted permanently, and the owner's revision of that write."""

    __tablename__ = "ended_tasks"

    revision: Mapped[int] = mapped_column(BigInteger, primary_key=True, sort_order=-1)
    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
    ended_at: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True), server_default=NOW)


class StoredResponseRow(OwnedRow):
    """The stored response to a request with an `Idempotency-Key`."""

    __tablename__ = "kept_answers"

    route: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True, sort_order=-1)
    key: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True, sort_order=-1)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(SmallInteger)
    headers: Mapped[list[list[str]]] = mapped_column(ARRAY(Text))  # pairs of name and value
    body: Mapped[bytes] = mapped_column(LargeBinary)
    kept_at: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True))
    task_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))  # tasks that `body` shows; NULL: unknown

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        """Return the index of old rows, and the check of the one value that clients choose."""
        return (
            CheckConstraint("char_length(key) BETWEEN 1 AND 255", name="key"),
            Index("ix_kept_answers_kept_at", "user_id", "kept_at"),
        )
