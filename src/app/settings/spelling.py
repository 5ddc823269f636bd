"""Detection of misspelt settings."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Final

NEAR: Final = 0.85  # difflib's ratio: allows one wrong letter in seven, or a missing underscore
OTHERS: Final = frozenset({"better_auth_secrets"})  # close to a setting, but a variable of Better Auth


def misspelt(env: Mapping[str, str], written: Collection[str], known: Collection[str]) -> list[str]:
    """Return a message for each variable that is close to the name of a setting, with that name.

    All variables `written` in `.env` are checked. Other variables may belong to other programs, so they are
    reported only if the setting itself is not set.
    """
    return [
        f"{name} is no setting: did you mean {near[0]}?"
        for name in sorted(env)
        if name not in known and name.lower() not in OTHERS
        if (near := get_close_matches(name.upper(), known, n=1, cutoff=NEAR))
        if name in written or not env.get(near[0])
    ]
