"""The database roles of `make run`, one for each part, as docs/operations.md advises.

The superuser only makes the others. `taskward` owns the database and migrates it, `taskward_serving` is the
API's, and `better_auth` is Better Auth's and has its own schema. `taskward_serving` and `better_auth` cannot
see each other's rows, and neither of them may become another role.
"""

from typing import Final

from app.infra.postgres.row_security import TABLES
from dev.postgres import LOGIN, PostgresServer

AUTH: Final = "better_auth"  # the role and its schema
SERVING: Final = "taskward_serving"
NO_PRIVILEGES: Final = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS"

# Better Auth's tables. In a `.state/` of an older version, they are in `public` and belong to `taskward`.
AUTH_TABLES: Final = ("user", "session", "account", "verification", "jwks")

_AUTH_SCHEMA: Final = f"""
BEGIN;
CREATE SCHEMA IF NOT EXISTS {AUTH} AUTHORIZATION {AUTH};
ALTER ROLE {AUTH} SET search_path = {AUTH};
ALTER ROLE {AUTH} SET statement_timeout = '5s';
SELECT format('ALTER TABLE public.%I SET SCHEMA {AUTH}', tablename),
       format('ALTER TABLE {AUTH}.%I OWNER TO {AUTH}', tablename)
FROM pg_tables WHERE schemaname = 'public' AND tablename IN {AUTH_TABLES} \\gexec
COMMIT;
"""  # noqa: S608 - constants of ours

_SERVING_RIGHTS: Final = f"""
GRANT USAGE ON SCHEMA public TO {SERVING};
GRANT SELECT ON taskward_version TO {SERVING};
GRANT SELECT, INSERT, UPDATE, DELETE ON {", ".join(f"own_{table}" for table in TABLES)} TO {SERVING};
ALTER ROLE {SERVING} IN DATABASE {LOGIN} SET statement_timeout = '5s';
"""


def prepare_auth(server: PostgresServer) -> str:
    """Make Better Auth's role and schema, move its older tables there, and return the role's database URL."""
    server.make_role(AUTH, NO_PRIVILEGES)
    server.query(_AUTH_SCHEMA, LOGIN, stdin=True)
    return server.url_of(LOGIN, role=AUTH)


def prepare_serving(server: PostgresServer) -> str:
    """Make the API's role, grant it the rights that it needs, and return the role's database URL."""
    server.make_role(SERVING, NO_PRIVILEGES)
    server.query(_SERVING_RIGHTS, LOGIN, stdin=True)
    return server.url_of(LOGIN, role=SERVING)
