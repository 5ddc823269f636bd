"""keys of tags and words of texts, computed again by `app migrate`

Nothing of the tables changes. The version before goes on: it finds what it wrote, but for tags that differ
from their key by more than case, and decomposed symbols. What it writes meanwhile, `--derive` derives anew.
"""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Do nothing more."""


def downgrade() -> None:
    """Leave keys and words as they are."""
