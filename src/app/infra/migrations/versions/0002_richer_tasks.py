"""due dates, priorities, tags, order, trash and versions, and what is known of each owner"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from app.domain.text import searchable, sort_key
from app.infra.migrations.rls_operations import as_table_owner, build_wall, ensure_role, rebuild_view
from app.infra.postgres.row_security import MAINTENANCE

revision = "0002"
down_revision = "0001"

ORDERS = ("id", "updated_at", "due_at", "priority", "title_key", "position")
BATCH = 1000  # rows

# The manual order begins with the newest task; see `app.domain.position`.
POSITION = """
UPDATE tasks SET completed_at = CASE WHEN completed THEN updated_at END, position =
    lpad(to_hex(72057594037927935 - (extract(epoch FROM created_at) * 1000000)::bigint), 14, '0')
    || right(id::text, 4) || 'U'
"""
OWNERS = "INSERT INTO task_owners SELECT user_id, 1, count(*) FROM tasks GROUP BY user_id"
NEXT = sa.text("""
SELECT user_id, id, title, description FROM tasks WHERE (user_id, id) > (:user_id, CAST(:id AS uuid))
ORDER BY user_id, id LIMIT :batch
""")
WORDS = sa.text("""
UPDATE tasks SET title_key = :key, title_words = :title, description_words = :description
WHERE user_id = :user_id AND id = :id
""")


def upgrade() -> None:
    op.create_table(
        "task_owners",
        sa.Column("user_id", sa.Text(collation="C"), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("tasks", sa.Integer(), nullable=False),
        sa.CheckConstraint("char_length(user_id) BETWEEN 1 AND 255", name="ck_task_owners_user_id"),
        sa.PrimaryKeyConstraint("user_id", name="pk_task_owners"),
    )
    moment, nothing = sa.DateTime(timezone=True), sa.text("''")
    for column in (
        sa.Column("due_at", moment),
        sa.Column("due_whole_day", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("priority", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("tags", ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("tag_keys", ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("position", sa.Text(collation="C")),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("completed_at", moment),
        sa.Column("trashed_at", moment),
        sa.Column("title_key", sa.Text(collation="C"), server_default=nothing, nullable=False),
        sa.Column("title_words", sa.Text(), server_default=nothing, nullable=False),
        sa.Column("description_words", sa.Text(), server_default=nothing, nullable=False),
    ):
        op.add_column("tasks", column)
    with as_table_owner("tasks"):
        op.execute(POSITION)
        op.execute(OWNERS)
        _fill_words()
    op.alter_column("tasks", "position", nullable=False)
    op.create_check_constraint("ck_tasks_tags", "tasks", "cardinality(tags) <= 20")
    op.create_check_constraint("ck_tasks_priority", "tasks", "priority BETWEEN 0 AND 3")
    for order in ORDERS:
        for first in ((), ("completed",)):
            path = list(dict.fromkeys((*first, order, "id")))
            name = f"ix_tasks_{'_'.join(path)}"
            op.create_index(name, "tasks", ["user_id", *path], postgresql_where=sa.text("trashed_at IS NULL"))
    op.create_index(
        "ix_tasks_trashed", "tasks", ["user_id", "id"], postgresql_where=sa.text("trashed_at IS NOT NULL")
    )
    build_wall("task_owners")
    rebuild_view("tasks")
    _let_maintenance_see_the_trash()


def downgrade() -> None:
    op.execute("DROP VIEW own_task_owners")
    op.drop_table("task_owners")
    op.execute("DROP POLICY maintenance_sees_trash ON tasks")
    op.execute("DROP POLICY maintenance_ends_trash ON tasks")
    op.execute(f"REVOKE ALL ON tasks FROM {MAINTENANCE}")
    with as_table_owner("tasks"):
        op.execute("DELETE FROM tasks WHERE trashed_at IS NOT NULL")
    op.execute("DROP VIEW own_tasks")
    for column in (
        *("due_at", "due_whole_day", "priority", "tags", "tag_keys", "position", "version"),
        *("completed_at", "trashed_at", "title_key", "title_words", "description_words"),
    ):
        op.drop_column("tasks", column)
    rebuild_view("tasks")


def _let_maintenance_see_the_trash() -> None:
    ensure_role(MAINTENANCE)
    trash = f"TO {MAINTENANCE} USING (trashed_at IS NOT NULL)"
    op.execute(f"CREATE POLICY maintenance_sees_trash ON tasks FOR SELECT {trash}")
    op.execute(f"CREATE POLICY maintenance_ends_trash ON tasks FOR DELETE {trash}")
    op.execute(f"CREATE POLICY maintenance_counts ON task_owners TO {MAINTENANCE} USING (true)")
    op.execute(f"GRANT SELECT, DELETE ON tasks TO {MAINTENANCE}")
    op.execute(f"GRANT SELECT, UPDATE ON task_owners TO {MAINTENANCE}")


def _fill_words() -> None:
    connection = op.get_bind()
    last = {"user_id": "", "id": "00000000-0000-0000-0000-000000000000"}
    while rows := connection.execute(NEXT, {**last, "batch": BATCH}).all():
        connection.execute(
            WORDS,
            [
                {
                    "user_id": row.user_id,
                    "id": row.id,
                    "key": sort_key(row.title),
                    "title": searchable(row.title),
                    "description": searchable(row.description),
                }
                for row in rows
            ],
        )
        last = {"user_id": rows[-1].user_id, "id": str(rows[-1].id)}
