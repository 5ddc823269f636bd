"""`app migrate` recomputes the comparison keys of tags and the search words of texts

No table changes. The previous version still works on this database. Its searches miss only tags whose key
differs by more than case, and symbols in decomposed form. `app migrate --derive` corrects the rows that it
writes meanwhile.
"""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Do nothing: `app migrate` recomputes the values after the migrations."""


def downgrade() -> None:
    """Leave keys and words as they are."""
