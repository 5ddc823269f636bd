"""Statements that only tests run."""

from typing import Final

from app.infra.statements.owner_scope import Statement

PING: Final = Statement("SELECT 1", ())
"""Needs no table and no owner."""
