"""Names of variables that are nearly those of settings."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Final

NEAR: Final = 0.85  # of difflib: one letter of seven wrong, or an underscore left out
OTHERS: Final = frozenset({"better_auth_secrets"})  # near a name of ours, and Better Auth's own


def misspelt(env: Mapping[str, str], written: Collection[str], known: Collection[str]) -> list[str]:
    """Tell which variables look like settings and are none, each with what was probably meant.

    Of the variables `written` into `.env` each that is near a known name is told; of all others, which may be
    for other programs, only those whose setting is not set.
    """
    return [
        f"{name} is no setting: did you mean {near[0]}?"
        for name in sorted(env)
        if name not in known and name.lower() not in OTHERS
        if (near := get_close_matches(name.upper(), known, n=1, cutoff=NEAR))
        if name in written or not env.get(near[0])
    ]
