"""the number and the bytes of each owner's stored responses, and the tasks that each response shows"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from app.infra.migrations.rls_operations import as_table_owner, rebuild_view, show_new_columns

revision = "0005"
down_revision = "0004"

COUNT = """
UPDATE task_owners SET kept_answers = kept.answers, kept_bytes = kept.octets
FROM (
    SELECT user_id, count(*) AS answers, sum(octet_length(body)) AS octets FROM kept_answers GROUP BY user_id
) AS kept
WHERE task_owners.user_id = kept.user_id
"""
CHECKS = {
    "key": "char_length(key) BETWEEN 1 AND 255",
    "route": "char_length(route) <= 255",
    "task_ids": "cardinality(task_ids) <= 100",
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")  # better fail and be run again than block every request
    for name, kind in (("kept_answers", sa.Integer()), ("kept_bytes", sa.BigInteger())):
        op.add_column("task_owners", sa.Column(name, kind, server_default=sa.text("0"), nullable=False))
    op.add_column("kept_answers", sa.Column("task_ids", ARRAY(sa.Uuid())))
    for name, check in CHECKS.items():
        op.create_check_constraint(op.f(f"ck_kept_answers_{name}"), "kept_answers", check)
    with as_table_owner("task_owners"), as_table_owner("kept_answers"):
        op.execute(COUNT)
    show_new_columns("task_owners")
    show_new_columns("kept_answers")


def downgrade() -> None:
    op.execute("DROP VIEW own_task_owners")
    op.execute("DROP VIEW own_kept_answers")
    for name in CHECKS:
        op.drop_constraint(op.f(f"ck_kept_answers_{name}"), "kept_answers")
    op.drop_column("kept_answers", "task_ids")
    op.drop_column("task_owners", "kept_bytes")
    op.drop_column("task_owners", "kept_answers")
    rebuild_view("task_owners")
    rebuild_view("kept_answers")
