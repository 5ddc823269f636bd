"""The scenarios, grouped by the part that fails."""

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
    """Import all modules: each adds its scenarios to the table, in this order."""
    for name in ALL:
        import_module(f"{__name__}.{name}")
