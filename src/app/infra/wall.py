"""The second wall: row-level security that refuses a row even if a statement forgets to ask whose it is.

The view `own_tasks` belongs to the role `taskward_app`, which cannot log in and has no way around a
policy. PostgreSQL checks a view with its owner's rights, so through it even a login role that may do
everything (as the one that Neon hands out) sees what the policy allows and nothing else.
"""

from dataclasses import dataclass
from typing import Final

from app.infra.connecting import Connection

ROLE: Final = "taskward_app"
POLICY: Final = "own_rows"
TABLES: Final = ("task_owners", "tasks", "kept_answers")
"""Every table of `app.infra.rows`, whose import takes as long as all else that is done before the start."""
CONDITION: Final = "(user_id = NULLIF(current_setting('app.user_id'::text, true), ''::text))"
"""The policy, as PostgreSQL writes it back. After a transaction the setting is `''`, not NULL."""

MIGRATE: Final = "app migrate"


@dataclass(frozen=True, slots=True)
class Gap:
    """What is wrong with the wall, and the SQL statement or command that mends it."""

    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}; mend it with: {self.mend}"


_STATE: Final = """
SELECT r.oid IS NOT NULL AS role, r.rolsuper OR r.rolbypassrls OR r.rolcanlogin AS powerful,
       t.oid IS NOT NULL AS "table", t.relrowsecurity AS enabled, t.relforcerowsecurity AS forced,
       v.oid IS NOT NULL AS view, v.relowner = r.oid AS owned,
       coalesce(v.reloptions && '{security_invoker=true,security_invoker=on}', false) AS invoker
FROM (SELECT) AS nothing
LEFT JOIN pg_roles r ON r.rolname = $1
LEFT JOIN pg_class t ON t.oid = to_regclass($2)
LEFT JOIN pg_class v ON v.oid = to_regclass('own_' || $2)
"""

_POLICIES: Final = """
SELECT polname AS name, polcmd = '*' AS every_verb,
       pg_get_expr(polqual, polrelid) AS using, pg_get_expr(polwithcheck, polrelid) AS check
FROM pg_policy p
WHERE polrelid = to_regclass($2) AND polpermissive
  AND EXISTS (SELECT FROM unnest(polroles) role
              WHERE CASE role WHEN 0 THEN true ELSE pg_has_role($1, role, 'MEMBER') END)
"""


async def gaps(connection: Connection) -> list[Gap]:
    """Return everything that is wrong with the walls around the tables; an empty list if they stand."""
    return [gap for table in TABLES for gap in await _gaps(connection, table)]


async def _gaps(connection: Connection, table: str) -> list[Gap]:
    state = await connection.fetchrow(_STATE, ROLE, table)
    if state is None or not (state["role"] and state["table"] and state["view"]):
        return [Gap(f"the table {table} and its wall are not there yet", MIGRATE)]
    view = f"own_{table}"
    found = [
        gap
        for stands, gap in (
            (
                not state["powerful"],
                Gap(f"{ROLE} can pass the wall", f"ALTER ROLE {ROLE} NOLOGIN NOSUPERUSER NOBYPASSRLS"),
            ),
            (
                state["enabled"],
                Gap(f"{table} has no row-level security", f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"),
            ),
            (
                state["forced"],
                Gap(f"{table} does not bind its owner", f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"),
            ),
            (state["owned"], Gap(f"{view} is not {ROLE}'s", f"ALTER VIEW {view} OWNER TO {ROLE}")),
            (
                not state["invoker"],
                Gap(f"{view} asks with its caller's rights", f"ALTER VIEW {view} RESET (security_invoker)"),
            ),
        )
        if not stands
    ]
    return found + await _policy_gaps(connection, table)


async def _policy_gaps(connection: Connection, table: str) -> list[Gap]:
    found = []
    ours = False
    for policy in await connection.fetch(_POLICIES, ROLE, table):
        holds = policy["every_verb"] and policy["using"] == policy["check"] == CONDITION
        if policy["name"] == POLICY and holds:
            ours = True
        else:
            name = policy["name"]
            found.append(
                Gap(f"the policy {name} on {table} opens the wall", f'DROP POLICY "{name}" ON {table}')
            )
    if not ours:
        create = f"CREATE POLICY {POLICY} ON {table} TO {ROLE} USING {CONDITION} WITH CHECK {CONDITION}"
        found.append(Gap(f"{table} has no policy {POLICY} that holds", create))
    return found
