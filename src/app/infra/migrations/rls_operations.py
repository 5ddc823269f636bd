"""Operations for migrations that create a table with row-level security."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import op

from app.infra.migrations import rls_setup
from app.infra.postgres.row_security import APP, OWN_ROWS, POLICIES, create_policy


def ensure_role(role: str = APP) -> None:
    """Create a role without login if it is missing, and make this login a member."""
    rls_setup.ensure_role(op.get_bind(), role)


def build_wall(table: str) -> None:
    """Put a table under its policy, and create its view."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    (policy,) = (each for each in POLICIES if (each.table, each.name) == (table, OWN_ROWS))
    op.execute(create_policy(policy))
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {APP}")
    rls_setup.create_view(op.get_bind(), table)


def rebuild_view(table: str) -> None:
    """Create the view again with all columns of the table. Other sessions see the old view until COMMIT."""
    op.execute(f"DROP VIEW IF EXISTS own_{table}")
    rls_setup.create_view(op.get_bind(), table)


def show_new_columns(table: str) -> None:
    """Add new columns to the view. Existing grants stay."""
    op.execute(f"CREATE OR REPLACE VIEW own_{table} AS SELECT * FROM {table}")  # noqa: S608 - a constant of ours


@contextmanager
def as_table_owner(table: str) -> Iterator[None]:
    """Let the migration see every row. It runs as the table's owner, whom FORCE row-level security binds."""
    op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    yield
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
