"""Policies and grants of row-level security, as data, and the SQL conditions that check them.

`app migrate` creates what is missing. The service checks those of requests, and a purge those of its role.
"""

from dataclasses import dataclass
from typing import Final

APP: Final = "taskward_app"  # the role that owns the views that requests use
MAINTENANCE: Final = "taskward_maintenance"  # the role that deletes old trash and responses of all owners
TABLES: Final = ("task_owners", "tasks", "kept_answers", "ended_tasks")
"""All tables of `app.infra.tables`. Importing that module would double the time of the start."""

OWN_ROWS: Final = "own_rows"
VERBS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
CONDITION: Final = "(user_id = NULLIF(current_setting('app.user_id'::text, true), ''::text))"
"""The policy of requests, as PostgreSQL prints it. After a transaction the setting is `''`, not NULL."""

_COMMANDS: Final = {"ALL": "*", "SELECT": "r", "DELETE": "d"}  # pg_policy.polcmd
_TRASH: Final = "(trashed_at IS NOT NULL)"
_OLD: Final = "(kept_at < (now() - '24:00:00'::interval))"


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy: which rows of a table a role may use, for which command."""

    table: str
    name: str
    verb: str  # ALL, SELECT or DELETE
    role: str
    rows: str  # SQL, as PostgreSQL prints it


@dataclass(frozen=True, slots=True)
class Grant:
    """The rights of a role on a table."""

    table: str
    role: str
    verbs: tuple[str, ...]


POLICIES: Final = (
    *(Policy(table, OWN_ROWS, "ALL", APP, CONDITION) for table in TABLES),
    Policy("tasks", "maintenance_sees_trash", "SELECT", MAINTENANCE, _TRASH),
    Policy("tasks", "maintenance_ends_trash", "DELETE", MAINTENANCE, _TRASH),
    Policy("task_owners", "maintenance_counts", "ALL", MAINTENANCE, "true"),
    Policy("kept_answers", "maintenance_sees_old", "SELECT", MAINTENANCE, _OLD),
    Policy("kept_answers", "maintenance_ends_old", "DELETE", MAINTENANCE, _OLD),
)
GRANTS: Final = (
    *(Grant(table, APP, VERBS) for table in TABLES),
    Grant("tasks", MAINTENANCE, ("SELECT", "DELETE")),
    Grant("task_owners", MAINTENANCE, ("SELECT", "UPDATE")),
    Grant("kept_answers", MAINTENANCE, ("SELECT", "DELETE")),
)


def create_policy(policy: Policy) -> str:
    """Return the statement that creates a policy."""
    check = f" WITH CHECK ({policy.rows})" if policy.name == OWN_ROWS else ""
    return (
        f"CREATE POLICY {policy.name} ON {policy.table} FOR {policy.verb} TO {policy.role}"
        f" USING ({policy.rows}){check}"
    )


def policy_exists(policy: Policy) -> str:
    """Return the SQL condition that is true if exactly this policy exists."""
    rows = "'" + policy.rows.replace("'", "''") + "'"
    check = f" AND pg_get_expr(polwithcheck, polrelid) = {rows}" if policy.name == OWN_ROWS else ""
    return (
        f"EXISTS (SELECT FROM pg_policy WHERE polrelid = to_regclass('{policy.table}')"
        f" AND polname = '{policy.name}' AND polcmd = '{_COMMANDS[policy.verb]}' AND polpermissive"
        f" AND polroles = ARRAY[to_regrole('{policy.role}')::oid]"
        f" AND pg_get_expr(polqual, polrelid) = {rows}{check})"
    )


def has_rights(role: str, relation: str, verbs: tuple[str, ...]) -> str:
    """Return the SQL condition that is true if a role has these rights. `role` is SQL for a role's OID."""
    held = (f"has_table_privilege({role}, to_regclass('{relation}')::oid, '{verb}')" for verb in verbs)
    return f"({' AND '.join(held)})"


def maintenance_is_set_up() -> str:
    """Return the SQL condition that is true if a purge sees exactly the rows that it should delete."""
    role = f"to_regrole('{MAINTENANCE}')::oid"
    tables = ", ".join(f"to_regclass('{table}')" for table in TABLES)
    conditions = (
        f"EXISTS (SELECT FROM pg_roles WHERE oid = {role} AND NOT rolsuper AND NOT rolbypassrls)",
        f"has_schema_privilege({role}, current_schema(), 'USAGE')",
        *(policy_exists(policy) for policy in POLICIES if policy.role == MAINTENANCE),
        *(has_rights(role, grant.table, grant.verbs) for grant in GRANTS if grant.role == MAINTENANCE),
        f"NOT EXISTS (SELECT FROM pg_policy WHERE NOT polpermissive AND polrelid IN ({tables}))",
    )
    return " AND ".join(f"coalesce({condition}, false)" for condition in conditions)
