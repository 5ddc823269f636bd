"""The faults, by what they happen to."""

from importlib import import_module

ALL = (
    "database",
    "refusals",
    "between",
    "keys",
    "processes",
    "streams",
    "clock",
    "clients",
    "connections",
    "hoarders",
    "texts",
    "searches",
    "operations",
    "endurance",
)


def load() -> None:
    """Read them all, so that they are in the table, in this order."""
    for name in ALL:
        import_module(f"{__name__}.{name}")
