"""Policies and grants of row-level security, as data, and the SQL conditions that tell whether they stand.

`app migrate` makes them whole (`app.infra.migrations.rls_setup`), the start looks at those of requests
(`app.infra.postgres.row_security_check`), and a purge at its own (`app.infra.purge`).
"""

from dataclasses import dataclass
from typing import Final

APP: Final = "taskward_app"  # owns the views through which requests go
MAINTENANCE: Final = "taskward_maintenance"  # ends trash and old answers, for all owners
TABLES: Final = ("task_owners", "tasks", "kept_answers")
"""Every table of `app.infra.tables`, whose import takes as long as all else that is done before the start."""

OWN_ROWS: Final = "own_rows"
VERBS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
CONDITION: Final = "(user_id = NULLIF(current_setting('app.user_id'::text, true), ''::text))"
"""The policy of requests, as PostgreSQL writes it back. After a transaction the setting is `''`, not NULL."""

_COMMANDS: Final = {"ALL": "*", "SELECT": "r", "DELETE": "d"}  # pg_policy.polcmd
_TRASH: Final = "(trashed_at IS NOT NULL)"
_OLD: Final = "(kept_at < (now() - '24:00:00'::interval))"


@dataclass(frozen=True, slots=True)
class Policy:
    """What one role may do with which rows of a table."""

    table: str
    name: str
    verb: str  # ALL, SELECT or DELETE
    role: str
    rows: str  # SQL, as PostgreSQL writes it back


@dataclass(frozen=True, slots=True)
class Grant:
    """What one role may do with a table at all."""

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
    """Return the statement that makes a policy."""
    check = f" WITH CHECK ({policy.rows})" if policy.name == OWN_ROWS else ""
    return (
        f"CREATE POLICY {policy.name} ON {policy.table} FOR {policy.verb} TO {policy.role}"
        f" USING ({policy.rows}){check}"
    )


def policy_stands(policy: Policy) -> str:
    """Return the SQL condition that is true where exactly this policy is there."""
    rows = _quoted(policy.rows)
    check = f" AND pg_get_expr(polwithcheck, polrelid) = {rows}" if policy.name == OWN_ROWS else ""
    return (
        f"EXISTS (SELECT FROM pg_policy WHERE polrelid = to_regclass('{policy.table}')"
        f" AND polname = '{policy.name}' AND polcmd = '{_COMMANDS[policy.verb]}' AND polpermissive"
        f" AND polroles = ARRAY[to_regrole('{policy.role}')::oid]"
        f" AND pg_get_expr(polqual, polrelid) = {rows}{check})"
    )


def may(role: str, relation: str, verbs: tuple[str, ...]) -> str:
    """Return the SQL condition that is true where a role has these rights. `role` is SQL for a role's OID."""
    return "(" + " AND ".join(_has(role, relation, verb) for verb in verbs) + ")"


def maintenance_stands() -> str:
    """Return the SQL condition that is true where a purge sees all that it is to end, and nothing else."""
    role = f"to_regrole('{MAINTENANCE}')::oid"
    tables = ", ".join(f"to_regclass('{table}')" for table in TABLES)
    conditions = (
        f"EXISTS (SELECT FROM pg_roles WHERE oid = {role} AND NOT rolsuper AND NOT rolbypassrls)",
        f"has_schema_privilege({role}, current_schema(), 'USAGE')",
        *(policy_stands(policy) for policy in POLICIES if policy.role == MAINTENANCE),
        *(may(role, grant.table, grant.verbs) for grant in GRANTS if grant.role == MAINTENANCE),
        f"NOT EXISTS (SELECT FROM pg_policy WHERE NOT polpermissive AND polrelid IN ({tables}))",
    )
    return " AND ".join(f"coalesce({condition}, false)" for condition in conditions)


def _has(role: str, relation: str, verb: str) -> str:
    return f"has_table_privilege({role}, to_regclass('{relation}')::oid, '{verb}')"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
