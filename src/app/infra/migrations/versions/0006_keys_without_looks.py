"""keys of tags and words of texts, computed again by `app migrate`

No table changes. The previous version can go on: it finds what it wrote, except for tags that differ from
their key by more than case, and decomposed symbols. `app migrate --derive` corrects what it writes meanwhile.
"""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Do nothing more."""


def downgrade() -> None:
    """Leave keys and words as they are."""
