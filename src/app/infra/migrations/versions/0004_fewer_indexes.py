"""one index for each order of lists: completed and open tasks are merged"""

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"

# The previous version still works on this database: it reads whole lists and sorts them.
KEYS = ("updated_at", "due_at", "priority", "title_key", "position")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")  # better fail and be run again than block every request
    for key in KEYS:
        op.drop_index(f"ix_tasks_{key}_id")


def downgrade() -> None:
    # Writes wait until the indexes are built.
    for key in KEYS:
        op.create_index(
            f"ix_tasks_{key}_id", "tasks", ["user_id", key, "id"], postgresql_where=text("trashed_at IS NULL")
        )
