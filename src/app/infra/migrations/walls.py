"""Building the second wall around a table: what each migration that makes an owned table calls.

Roles belong to the whole cluster, so the role is shared with every other copy of this service: one that
is there is taken as it is (and refused if it could pass the wall), and none is ever dropped.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import op
from sqlalchemy import text

from app.infra.wall import CONDITION, POLICY, ROLE


def ensure_role(role: str = ROLE) -> None:
    """Make a role that cannot log in where it is absent, and let this login act as it."""
    op.execute(f"""
        DO $$
        DECLARE option text := CASE WHEN current_setting('server_version_num')::int >= 160000
                                    THEN 'SET' ELSE 'MEMBER' END;
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                BEGIN
                    CREATE ROLE {role} NOLOGIN;
                EXCEPTION WHEN duplicate_object OR unique_violation THEN
                    NULL;  -- made by a migration of another database at the same moment
                END;
            END IF;
            IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}'
                       AND (rolsuper OR rolbypassrls OR rolcanlogin)) THEN
                RAISE EXCEPTION 'the role {role} can log in or pass row-level security'
                    USING HINT = 'ALTER ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS';
            END IF;
            IF NOT pg_has_role(current_user, '{role}', option) THEN
                GRANT {role} TO CURRENT_USER;
            END IF;
        END $$""")  # noqa: S608 - constants of ours


def build_wall(table: str) -> None:
    """Put a table under its policy, and make the view through which it is used."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY {POLICY} ON {table} TO {ROLE} USING {CONDITION} WITH CHECK {CONDITION}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {ROLE}")
    rebuild_view(table)


def rebuild_view(table: str) -> None:
    """Make the view anew, with all columns that the table has now; others see the old one until we commit."""
    view = f"own_{table}"
    op.execute(f"DROP VIEW IF EXISTS {view}")
    op.execute(f"CREATE VIEW {view} AS SELECT * FROM {table}")  # noqa: S608 - a constant of ours
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {view} TO CURRENT_USER")
    _give_to_role(view)


def show_new_columns(table: str) -> None:
    """Add new columns to the view, which stays the same one: what others were granted on it they keep."""
    op.execute(f"CREATE OR REPLACE VIEW own_{table} AS SELECT * FROM {table}")  # noqa: S608 - a constant of ours


@contextmanager
def as_table_owner(table: str) -> Iterator[None]:
    """Let the migration see every row: under FORCE even the table's owner sees none, without a word."""
    op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    yield
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def _give_to_role(view: str) -> None:
    """Make the role the view's owner, which takes CREATE on the schema for this moment only."""
    schema, may_create = (
        op.get_bind()
        .execute(
            text(
                "SELECT quote_ident(current_schema()),"
                f" has_schema_privilege('{ROLE}', current_schema(), 'CREATE')"
            )
        )
        .one()
    )
    op.execute(f"GRANT USAGE ON SCHEMA {schema} TO {ROLE}")
    if not may_create:
        op.execute(f"GRANT CREATE ON SCHEMA {schema} TO {ROLE}")
    op.execute(f"ALTER VIEW {view} OWNER TO {ROLE}")
    if not may_create:
        op.execute(f"REVOKE CREATE ON SCHEMA {schema} FROM {ROLE}")
