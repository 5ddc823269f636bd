"""Checks the second wall: row-level security, which hides rows even without the owner predicate.

PostgreSQL checks the view `own_tasks` with the rights of its owner, the role `taskward_app`, which cannot
bypass a policy. So even a login role that may bypass row-level security (such as Neon's) sees only the rows
that the policy allows.
"""

import re
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from app.infra.postgres.connect import Connection
from app.infra.postgres.row_security import APP, CONDITION, OWN_ROWS, TABLES, VERBS

NO_OWNER: Final = "nobody-" + uuid4().hex  # a user id that has no rows
MIGRATE: Final = "app migrate"


@dataclass(frozen=True, slots=True)
class Gap:
    """A fault of row-level security, and the SQL statement or command that repairs it."""

    what: str
    repair: str

    def __str__(self) -> str:
        return f"{self.what}; repair it with: {self.repair}"


_STATE: Final = """
SELECT to_regclass('taskward_version') IS NOT NULL AS migrated,
       r.oid IS NOT NULL AS role, r.rolsuper OR r.rolbypassrls OR r.rolcanlogin AS can_bypass,
       t.oid IS NOT NULL AS "table", t.relrowsecurity AS enabled, t.relforcerowsecurity AS forced,
       v.oid IS NOT NULL AS view, v.relowner = r.oid AS app_owns_view,
       pg_get_userbyid(v.relowner) AS view_owner,
       pg_has_role(t.relowner, v.relowner, 'USAGE') AS migrate_can_take_view,
       EXISTS (SELECT FROM pg_options_to_table(v.reloptions)
               WHERE option_name = 'security_invoker' AND option_value::boolean) AS security_invoker,
       has_schema_privilege(r.oid, t.relnamespace, 'USAGE') AS app_may_use_schema,
       (SELECT bool_and(has_table_privilege(r.oid, t.oid, verb)) FROM unnest($3::text[]) verb) AS app_may_use,
       (SELECT bool_and(has_table_privilege(v.oid, verb)) FROM unnest($3::text[]) verb) AS login_may_use,
       quote_ident(current_user) AS login, NOT v.relhastriggers
       AND (SELECT count(*) FROM pg_rewrite WHERE ev_class = v.oid) = 1 AS has_no_other_rules,
       CASE v.relkind WHEN 'v' THEN pg_get_viewdef(v.oid) ELSE '' END AS definition
FROM (SELECT) AS nothing
LEFT JOIN pg_roles r ON r.rolname = $1
LEFT JOIN pg_class t ON t.oid = to_regclass($2)
LEFT JOIN pg_class v ON v.oid = to_regclass('own_' || $2)
"""

_POLICIES: Final = """
SELECT polname AS name, polcmd = '*' AND polpermissive AS every_verb,
       pg_get_expr(polqual, polrelid) AS using, pg_get_expr(polwithcheck, polrelid) AS check
FROM pg_policy p
WHERE polrelid = to_regclass($2)
  AND EXISTS (SELECT FROM unnest(polroles) role
              WHERE CASE role WHEN 0 THEN true ELSE pg_has_role($1, role, 'MEMBER') END)
"""


def describe_foreign_owner(view: str, owner: str) -> str:
    """Return the fault that a view belongs to a role from which `app migrate` cannot take it."""
    return f"{view} belongs to {owner}, and only a superuser can give it to {APP}"


async def find_gaps(connection: Connection) -> list[Gap]:
    """Return all faults of row-level security; an empty list if there are none."""
    return [gap for table in TABLES for gap in await _find_gaps_of(connection, table)]


async def _find_gaps_of(connection: Connection, table: str) -> list[Gap]:
    (state,) = await connection.fetch(_STATE, APP, table, list(VERBS))
    view = f"own_{table}"
    if not state["migrated"]:
        return [Gap(f"the table {table} does not exist yet", MIGRATE)]
    if not state["table"]:
        return [Gap(f"the table {table} is missing", "a restore of a backup")]
    parts = ((state["role"], f"the role {APP}"), (state["view"], f"the view {view}"))
    if missing := [Gap(f"{part} is missing", MIGRATE) for exists, part in parts if not exists]:
        return missing
    login, grant = state["login"], f"GRANT {', '.join(VERBS)}"
    checks = (
        (
            not state["can_bypass"],
            f"{APP} can bypass row-level security",
            f"ALTER ROLE {APP} NOLOGIN NOSUPERUSER NOBYPASSRLS",
        ),
        (
            state["enabled"],
            f"{table} has no row-level security",
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        ),
        (
            state["forced"],
            f"row-level security of {table} does not bind its owner",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        ),
        (state["app_owns_view"] or not state["migrate_can_take_view"], f"{view} is not {APP}'s", MIGRATE),
        (
            state["app_owns_view"] or state["migrate_can_take_view"],
            describe_foreign_owner(view, state["view_owner"]),
            f"ALTER VIEW {view} OWNER TO {APP}",
        ),
        (state["app_may_use_schema"], f"{APP} may not use the schema of {table}", MIGRATE),
        (state["app_may_use"], f"{APP} lacks rights on {table}", MIGRATE),
        (state["login_may_use"], f"{login} lacks rights on {view}", f"{grant} ON {view} TO {login}"),
        (
            has_our_definition(state["definition"], table) and state["has_no_other_rules"],
            f"{view} shows something else than {table}",
            f"DROP VIEW {view}",
        ),
        (
            not state["security_invoker"],
            f"{view} reads with its caller's rights",
            f"ALTER VIEW {view} RESET (security_invoker)",
        ),
    )
    found = [Gap(what, repair) for holds, what, repair in checks if not holds]
    found += await _find_policy_gaps(connection, table)
    return found or await _find_leak(connection, view)


async def _find_leak(connection: Connection, view: str) -> list[Gap]:
    """Read the view itself. Without an owner, or with an owner without rows, it must show nothing."""
    rows = f"SELECT EXISTS (SELECT FROM {view}"  # noqa: S608 - a constant of ours
    set_owner = "(SELECT set_config('app.user_id', $1, true)) IS NOT NULL"
    shown = [await connection.fetchval(f"{rows})")]
    shown += [await connection.fetchval(f"{rows} WHERE {set_owner})", owner) for owner in ("", NO_OWNER)]
    return [Gap(f"{view} shows rows without an owner", f"DROP VIEW {view}")] if any(shown) else []


def has_our_definition(definition: str, table: str) -> bool:
    """Return whether a view shows all rows and columns of its table, and nothing else."""
    plain = re.sub(rf"\s+|\"|\b{table}\.", " ", definition).strip()
    return re.fullmatch(rf"SELECT( \w+ ?,)* \w+ FROM {table} ?;", re.sub(r" +", " ", plain)) is not None


async def _find_policy_gaps(connection: Connection, table: str) -> list[Gap]:
    found = []
    ours = False
    for policy in await connection.fetch(_POLICIES, APP, table):
        holds = policy["every_verb"] and policy["using"] == policy["check"] == CONDITION
        if policy["name"] == OWN_ROWS and holds:
            ours = True
        else:
            name = policy["name"]
            drop = f'DROP POLICY "{name}" ON {table}'
            found.append(Gap(f"the policy {name} on {table} is not ours", drop))
    if not ours:
        create = f"CREATE POLICY {OWN_ROWS} ON {table} TO {APP} USING {CONDITION} WITH CHECK {CONDITION}"
        found.append(Gap(f"{table} has no policy {OWN_ROWS} that holds", create))
    return found
