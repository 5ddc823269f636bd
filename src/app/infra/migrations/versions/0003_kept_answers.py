"""stored responses to requests with an Idempotency-Key"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from app.infra.migrations.rls_operations import build_wall
from app.infra.postgres.row_security import MAINTENANCE

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "kept_answers",
        sa.Column("user_id", sa.Text(collation="C"), nullable=False),
        sa.Column("route", sa.Text(collation="C"), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("headers", ARRAY(sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("char_length(user_id) BETWEEN 1 AND 255", name="ck_kept_answers_user_id"),
        sa.PrimaryKeyConstraint("user_id", "route", "key", name="pk_kept_answers"),
    )
    op.create_index("ix_kept_answers_kept_at", "kept_answers", ["user_id", "kept_at"])
    build_wall("kept_answers")
    old = f"TO {MAINTENANCE} USING (kept_at < now() - interval '24 hours')"
    op.execute(f"CREATE POLICY maintenance_sees_old ON kept_answers FOR SELECT {old}")
    op.execute(f"CREATE POLICY maintenance_ends_old ON kept_answers FOR DELETE {old}")
    op.execute(f"GRANT SELECT, DELETE ON kept_answers TO {MAINTENANCE}")


def downgrade() -> None:
    op.execute("DROP VIEW own_kept_answers")
    op.drop_table("kept_answers")
