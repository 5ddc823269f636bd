"""Writes the table of results: for each scenario what happened, and whether it is allowed."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.chaos.judge import Allowed, Verdict

DOCUMENT: Final = Path(__file__).parent.parent.parent / "docs" / "faults.md"
MARK: Final = "<!-- what follows is written by `python -m tests.chaos --document` -->"
HEAD: Final = (
    "fault",
    "answers by status",
    "2xx before",
    "during",
    "after",
    "longest outage (allowed)",
    "slowest answer (allowed)",
    "lost",
    "twice",
    "verdict",
)


@dataclass
class Result:
    """The result of one scenario."""

    name: str
    title: str
    allowed: Allowed
    verdict: Verdict | None  # None: the scenario raised or cannot be played here; `trouble` says why
    trouble: str = ""
    skipped: bool = False  # this machine does not allow it, which is a failure only if `CI` is set
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the scenario was played, and its limits and promises were kept."""
        return self.verdict is not None and self.verdict.passed

    @property
    def reasons(self) -> list[str]:
        """The reasons why the scenario failed."""
        return [self.trouble] if self.verdict is None else self.verdict.reasons

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON."""
        allowed = {**asdict(self.allowed), "answers": sorted(self.allowed.answers)}
        return {**asdict(self), "allowed": allowed, "passed": self.passed, "reasons": self.reasons}


def cells(result: Result) -> tuple[str, ...]:
    """Return the cells of the scenario's row."""
    verdict, allowed = result.verdict, result.allowed
    word = "kept" if result.passed else "not played" if result.skipped else "FAILED"
    if verdict is None:
        return (result.title, *("-" for _ in HEAD[2:]), word)
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(verdict.statuses.items()))
    shares = (percent(share) for share in (verdict.before, verdict.during, verdict.after))
    outage = f"{verdict.outage:.2f} s ({allowed.outage:g})"
    slowest = f"{verdict.slowest:.2f} s ({allowed.slowest:g})"
    return (result.title, statuses, *shares, outage, slowest, str(verdict.lost), str(verdict.twice), word)


def write_document(where: str, played: list[Result]) -> None:
    """Write the table into docs/faults.md, and below it the failures and the notes.

    `where` names the machine, the commit and the time.
    """
    lines = [HEAD, tuple("---" for _ in HEAD), *map(cells, played)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    failed = [f"- **{each.title}**: {'; '.join(each.reasons)}" for each in played if not each.passed]
    noted = [f"- {each.title}: {'; '.join(each.notes)}." for each in played if each.passed and each.notes]
    parts = [f"{where}.", table, *(["Not kept:", "\n".join(failed)] if failed else [])]
    parts += ["What scenarios reported:", "\n".join(noted)] if noted else []
    prose = DOCUMENT.read_text().partition(MARK)[0]
    DOCUMENT.write_text(prose + MARK + "\n\n".join(["", *parts]) + "\n")


def aligned(results: Iterable[Result]) -> str:
    """Return the table as text with aligned columns, for a terminal."""
    rows = [HEAD, *map(cells, results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows
    )


def percent(share: float | None) -> str:
    """Return a share in percent, rounded down: only 1 is 100%."""
    if share is None:
        return "-"
    return "100%" if share == 1 else f"{math.floor(share * 1000) / 10}%"
