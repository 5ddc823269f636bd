"""no checks of values that the service itself chooses in each task and each stored response

PostgreSQL prepares every check again for each statement that writes. Clients cannot choose the route and the
ids of a stored response. The length of `user_id` is checked in the owner's row, which each write needs.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

USER_ID = "char_length(user_id) BETWEEN 1 AND 255"
CHECKS = (
    ("tasks", "ck_tasks_ck_tasks_user_id", USER_ID),
    ("kept_answers", "ck_kept_answers_ck_kept_answers_user_id", USER_ID),
    ("kept_answers", "ck_kept_answers_route", "char_length(route) <= 255"),
    ("kept_answers", "ck_kept_answers_task_ids", "cardinality(task_ids) <= 100"),
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")  # better fail and be run again than block every request
    for table, name, _ in CHECKS:
        op.drop_constraint(op.f(name), table)


def downgrade() -> None:
    for table, name, check in CHECKS:
        op.create_check_constraint(op.f(name), table, check)
