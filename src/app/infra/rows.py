"""Table shapes. Rows are data: they have no behaviour and never leave `app.infra`."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from advanced_alchemy.base import CommonTableAttributes
from advanced_alchemy.types import DateTimeUTC
from sqlalchemy import CheckConstraint, MetaData, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

USER_ID_MAX: Final = 255  # characters
NOW: Final = text("now()")


class OwnedRow(CommonTableAttributes, DeclarativeBase):
    """A row that belongs to one person.

    The primary key begins with the owner, and so does every access path: a person's rows lie together,
    and the table can be partitioned or distributed by owner. The service never touches the table, only
    the view `own_<table>`, which is under row-level security whoever asks (`app.infra.wall`).
    """

    __abstract__ = True
    metadata = MetaData(
        naming_convention={"pk": "pk_%(table_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s"}
    )

    # Collation "C": equality and order by bytes, the fastest that PostgreSQL has, and leakproof.
    user_id: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True, sort_order=-2)
    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        """Hold the owner to its shape."""
        return (CheckConstraint(f"char_length(user_id) BETWEEN 1 AND {USER_ID_MAX}", name="user_id"),)


class TaskRow(OwnedRow):
    """One task. The checks repeat the rules of `app.domain.task`, for whoever writes past the service."""

    __tablename__ = "tasks"

    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    completed: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True), server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True), server_default=NOW)

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        """Hold the texts to their lengths."""
        return (
            *super().__table_args__,
            CheckConstraint("char_length(title) BETWEEN 1 AND 255", name="title"),
            CheckConstraint("char_length(description) <= 10000", name="description"),
        )
