"""the table of tasks, and its wall"""

import sqlalchemy as sa
from alembic import op

from app.infra.migrations.rls_operations import build_wall, ensure_role

revision = "0001"
down_revision = None


def upgrade() -> None:
    now = sa.text("now()")
    op.create_table(
        "tasks",
        sa.Column("user_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("completed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.CheckConstraint("char_length(user_id) BETWEEN 1 AND 255", name="ck_tasks_user_id"),
        sa.CheckConstraint("char_length(title) BETWEEN 1 AND 255", name="ck_tasks_title"),
        sa.CheckConstraint("char_length(description) <= 10000", name="ck_tasks_description"),
        sa.PrimaryKeyConstraint("user_id", "id", name="pk_tasks"),
    )
    ensure_role()
    build_wall("tasks")


def downgrade() -> None:
    op.execute("DROP VIEW own_tasks")
    op.drop_table("tasks")
