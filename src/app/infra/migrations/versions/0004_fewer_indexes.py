"""one index for each order of lists: what is done and what is not are merged"""

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"

# The version before goes on running: it reads such lists whole and sorts them, until it is gone.
KEYS = ("updated_at", "due_at", "priority", "title_key", "position")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")  # better to be tried again than to hold everybody up
    for key in KEYS:
        op.drop_index(f"ix_tasks_{key}_id")


def downgrade() -> None:
    # Writes wait while the indexes are made.
    for key in KEYS:
        op.create_index(
            f"ix_tasks_{key}_id", "tasks", ["user_id", key, "id"], postgresql_where=text("trashed_at IS NULL")
        )
