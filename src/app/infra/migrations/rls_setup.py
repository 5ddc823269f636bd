"""Repairs row-level security: creates missing roles, policies, grants and views.

Migrations create them once. `app migrate` repairs them afterwards, for databases that were restored or
changed by hand. Roles belong to the whole cluster: an existing role is used as it is (and refused if it could
bypass a policy), and no role is ever dropped.
"""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection

from app.infra.postgres.row_security import (
    APP,
    GRANTS,
    MAINTENANCE,
    POLICIES,
    TABLES,
    VERBS,
    create_policy,
    has_rights,
    policy_exists,
)
from app.infra.postgres.row_security_check import describe_foreign_owner, has_our_definition

# The right to SET ROLE: before PostgreSQL 16 each member has it.
_ACT_AS: Final = "CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END"
_ALL_VERBS: Final = ", ".join(VERBS)


class CannotRepair(Exception):
    """An operator must repair something first; the message says how."""


class ForeignView(CannotRepair):
    """A relation of another program has the name of one of our views; the message names it."""


def repair_row_security(connection: Connection, tables: Collection[str] = TABLES) -> list[str]:
    """Create all missing parts of these tables, and return their names. Runs in the caller's transaction.

    Raises:
        CannotRepair: nothing was done.
        DBAPIError: this login lacks a right.
    """
    refuse_foreign_views(connection)
    repair = _Repair(connection)
    connection.exec_driver_sql("SET LOCAL intervalstyle = 'postgres'")  # as `POLICIES` are written
    for role in (APP, MAINTENANCE):
        _repair_role(repair, role)
    for table in tables:
        _repair_table(repair, table)
    for policy in POLICIES:
        if policy.table in tables and not repair.holds(policy_exists(policy)):
            drop = f"DROP POLICY IF EXISTS {policy.name} ON {policy.table}"
            repair.apply(f"the policy {policy.name} on {policy.table}", drop, create_policy(policy))
    for grant in GRANTS:
        held = has_rights(f"'{grant.role}'::regrole::oid", grant.table, grant.verbs)
        if grant.table in tables and not repair.holds(held):
            statement = f"GRANT {', '.join(grant.verbs)} ON {grant.table} TO {grant.role}"
            repair.apply(f"the rights of {grant.role} on {grant.table}", statement)
    for table in tables:
        _repair_view(repair, table)
    return repair.repaired


class _Repair:
    """Reads the catalog, runs statements, and records each repair."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.repaired: list[str] = []

    def holds(self, condition: str) -> bool:
        """Return whether an SQL condition is true."""
        return bool(self.connection.exec_driver_sql(f"SELECT {condition}").scalar())

    def apply(self, what: str, *statements: str) -> None:
        """Run statements, and record the repair."""
        for statement in statements:
            self.connection.exec_driver_sql(statement)
        self.repaired.append(what)


def _repair_role(repair: _Repair, role: str) -> None:
    if not repair.holds(f"EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}')"):
        repair.apply(f"the role {role}")
    elif not repair.holds(f"pg_has_role(current_user, '{role}', {_ACT_AS})"):
        repair.apply(f"the membership of this login in {role}")
    ensure_role(repair.connection, role)
    if not repair.holds(f"has_schema_privilege('{role}', current_schema(), 'USAGE')"):
        schema = repair.connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar()
        repair.apply(f"the right of {role} to use the schema", f"GRANT USAGE ON SCHEMA {schema} TO {role}")


def _repair_table(repair: _Repair, table: str) -> None:
    if not repair.holds(f"to_regclass('{table}') IS NOT NULL"):
        raise CannotRepair(f"the table {table} is missing, and its migration was applied: restore a backup")
    for column, verb in (("relrowsecurity", "ENABLE"), ("relforcerowsecurity", "FORCE")):
        if not repair.holds(f"{column} FROM pg_class WHERE oid = '{table}'::regclass"):
            alter = f"ALTER TABLE {table} {verb} ROW LEVEL SECURITY"
            repair.apply(f"{verb} row-level security on {table}", alter)


def ensure_role(connection: Connection, role: str = APP) -> None:
    """Create a role without login if it is missing, and make this login a member."""
    connection.exec_driver_sql(f"""
        DO $$
        DECLARE option text := {_ACT_AS};
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                BEGIN
                    CREATE ROLE {role} NOLOGIN;
                EXCEPTION WHEN duplicate_object OR unique_violation THEN
                    NULL;  -- the migration of another database made it at the same moment
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


def create_view(connection: Connection, table: str) -> None:
    """Create the view of a table. An existing view of this name is an error."""
    view = f"own_{table}"
    connection.exec_driver_sql(f"CREATE VIEW {view} AS SELECT * FROM {table}")  # noqa: S608 - a constant of ours
    connection.exec_driver_sql(f"GRANT {_ALL_VERBS} ON {view} TO CURRENT_USER")
    give_to_role(connection, view)


def give_to_role(connection: Connection, view: str) -> None:
    """Make the application role the view's owner. For that moment the role needs CREATE on the schema."""
    schema, may_create = connection.exec_driver_sql(
        f"SELECT quote_ident(current_schema()), has_schema_privilege('{APP}', current_schema(), 'CREATE')"
    ).one()
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO {APP}")
    if not may_create:
        connection.exec_driver_sql(f"GRANT CREATE ON SCHEMA {schema} TO {APP}")
    connection.exec_driver_sql(f"ALTER VIEW {view} OWNER TO {APP}")
    if not may_create:
        connection.exec_driver_sql(f"REVOKE CREATE ON SCHEMA {schema} FROM {APP}")


def refuse_foreign_views(connection: Connection) -> None:
    """Raise ForeignView if another relation has the name of one of our views."""
    definition = "CASE relkind WHEN 'v' THEN pg_get_viewdef(oid) ELSE '' END AS definition"
    rules = "(SELECT count(*) FROM pg_rewrite WHERE ev_class = pg_class.oid)"
    for table in TABLES:
        view = f"own_{table}"
        found = connection.exec_driver_sql(
            f"SELECT {definition}, NOT relhastriggers AND {rules} = 1 AS plain"  # noqa: S608 - constants of ours
            f" FROM pg_class WHERE oid = to_regclass('{view}')"
        ).first()
        if found is not None and not (found.plain and has_our_definition(found.definition, table)):
            raise ForeignView(f"{view} shows something else than {table}: rename or drop it first")


def _repair_view(repair: _Repair, table: str) -> None:
    view = f"own_{table}"
    if not repair.holds(f"to_regclass('{view}') IS NOT NULL"):
        create_view(repair.connection, table)
        repair.apply(f"the view {view}")
        _give_rights_back(repair, view)
        return
    of_view = f"FROM pg_class WHERE oid = '{view}'::regclass"
    if not repair.holds(f"relowner = '{APP}'::regrole {of_view}"):
        if not repair.holds(f"pg_has_role(relowner, 'USAGE') {of_view}"):
            owner = repair.connection.exec_driver_sql(f"SELECT pg_get_userbyid(relowner) {of_view}").scalar()
            fault = describe_foreign_owner(view, str(owner))
            raise ForeignView(f"{fault}; repair it with: ALTER VIEW {view} OWNER TO {APP}")
        give_to_role(repair.connection, view)
        repair.apply(f"the owner of {view}")
    if repair.holds(f"reloptions IS NOT NULL {of_view}"):
        reset = f"ALTER VIEW {view} RESET (security_invoker, security_barrier)"
        repair.apply(f"the options of {view}", reset)
    if not repair.holds(f"({_columns_of(table)}) = ({_columns_of(view)})"):
        replace = f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM {table}"  # noqa: S608 - constants of ours
        repair.apply(f"the columns of {view}", replace)
    if not repair.holds(has_rights("current_user::regrole::oid", view, VERBS)):
        grant = f"GRANT {_ALL_VERBS} ON {view} TO CURRENT_USER"
        repair.apply(f"the rights of this login on {view}", grant)


def _give_rights_back(repair: _Repair, view: str) -> None:
    """Grant each role the rights on a new view that it has on all others: the lost view probably had them."""
    others = [f"to_regclass('own_{table}')" for table in TABLES if f"own_{table}" != view]
    found = repair.connection.exec_driver_sql(f"""
        SELECT quote_ident(pg_get_userbyid(grantee)), string_agg(verb, ', ' ORDER BY verb)
        FROM (SELECT grantee, privilege_type AS verb FROM pg_class, aclexplode(relacl)
              WHERE pg_class.oid IN ({", ".join(others)})
                AND grantee NOT IN (0, relowner, current_user::regrole)
                AND privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
              GROUP BY 1, 2 HAVING count(*) = {len(others)}) AS held
        GROUP BY grantee""").all()  # noqa: S608 - constants of ours
    for role, verbs in found:
        repair.apply(f"the rights of {role} on {view}", f"GRANT {verbs} ON {view} TO {role}")


def _columns_of(relation: str) -> str:
    return (
        "SELECT count(*) FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped"  # noqa: S608 - constants of ours
        f" AND attrelid = '{relation}'::regclass"
    )
