"""`TABLES`, the tables whose row-level security the start checks, is complete.

The list is written by hand, so that the start need not import `app.infra.tables`. This fault, put in on purpose, made
the test fail: a table left out of `TABLES`.
"""

from app.infra.postgres.row_security import TABLES
from app.infra.tables import OwnedRow


def test_row_level_security_is_checked_for_every_table() -> None:
    assert set(TABLES) == set(OwnedRow.metadata.tables)
    assert len(TABLES) == len(set(TABLES))
