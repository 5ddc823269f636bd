"""revisions of tasks, and tombstones of tasks that are deleted permanently

Existing tasks get revision 0. The previous version still works on this database. It sets no revision, so
clients miss its changes until `app resync`. It reads whole lists in the order `updated`, and sorts them.
"""

import sqlalchemy as sa
from alembic import op

from app.infra.migrations.rls_operations import build_wall, rebuild_view, show_new_columns

revision = "0007"
down_revision = "0006"

ALIVE, TRASHED = sa.text("trashed_at IS NULL"), sa.text("trashed_at IS NOT NULL")
ZERO = sa.text("0")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")  # better fail and be run again than block every request
    op.add_column("tasks", sa.Column("revision", sa.BigInteger(), server_default=ZERO, nullable=False))
    for name, kind in (("floor", sa.BigInteger()), ("tombstones", sa.Integer())):
        op.add_column("task_owners", sa.Column(name, kind, server_default=ZERO, nullable=False))
    op.create_table(
        "ended_tasks",
        sa.Column("user_id", sa.Text(collation="C"), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("char_length(user_id) BETWEEN 1 AND 255", name=op.f("ck_ended_tasks_user_id")),
        sa.PrimaryKeyConstraint("user_id", "revision", "id", name="pk_ended_tasks"),
    )
    # Writes wait until the indexes are built.
    op.create_index(
        "ix_tasks_completed_revision_id",
        "tasks",
        ["user_id", "completed", "revision", "id"],
        postgresql_where=ALIVE,
    )
    op.create_index(
        "ix_tasks_trashed_revision", "tasks", ["user_id", "revision", "id"], postgresql_where=TRASHED
    )
    op.drop_index("ix_tasks_completed_updated_at_id")
    build_wall("ended_tasks")
    show_new_columns("tasks")
    show_new_columns("task_owners")


def downgrade() -> None:
    op.execute("DROP VIEW own_ended_tasks")
    op.drop_table("ended_tasks")
    op.create_index(
        "ix_tasks_completed_updated_at_id",
        "tasks",
        ["user_id", "completed", "updated_at", "id"],
        postgresql_where=ALIVE,
    )
    op.execute("DROP VIEW own_tasks")
    op.execute("DROP VIEW own_task_owners")
    op.drop_column("tasks", "revision")  # and its indexes
    op.drop_column("task_owners", "floor")
    op.drop_column("task_owners", "tombstones")
    rebuild_view("tasks")
    rebuild_view("task_owners")
