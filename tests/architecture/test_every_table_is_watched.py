"""The start looks at the wall around each table, without importing the tables' shapes.

A fault put in on purpose, and found: a table taken out of `TABLES`.
"""

from app.infra.postgres.row_security import TABLES
from app.infra.tables import OwnedRow


def test_row_level_security_is_checked_for_every_table() -> None:
    assert set(TABLES) == set(OwnedRow.metadata.tables)
    assert len(TABLES) == len(set(TABLES))
