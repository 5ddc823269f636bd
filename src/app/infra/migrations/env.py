"""Alembic's entry point: runs the migrations on the connection of `app.infra.migrations.run`."""

from alembic import context
from sqlalchemy import text

from app.infra.tables import OwnedRow

LOCK = 0x7461736B77617264  # "taskward" in ASCII; held until the transaction ends

connection = context.config.attributes["connection"]
connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
context.configure(
    connection=connection,
    target_metadata=OwnedRow.metadata,
    version_table=context.config.attributes["version_table"],
    transactional_ddl=True,
)
context.run_migrations()
