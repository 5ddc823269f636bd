"""Report of the measurements: medians, and ratios of medians with their spread."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import Any, Final

from benchmarks.measuring import Figures, Measured
from benchmarks.scenes import TITLES

COLUMNS: Final = {
    "requests/s": ("rate", ",.0f"),
    "CPU µs/request": ("cpu", ",.0f"),
    "PostgreSQL's": ("database_cpu", ",.0f"),
    "total CPU": ("total_cpu", ",.0f"),
    "WAL bytes": ("wal", ",.0f"),
    "p50 ms": ("p50", ".1f"),
    "p95 ms": ("p95", ".1f"),
    "p99 ms": ("p99", ".1f"),
    "MB": ("memory", ".0f"),
}


@dataclass(frozen=True, slots=True)
class Ratio:
    """The ratio of two medians, and the smallest and the largest ratio of a single round."""

    of_medians: float
    least: float
    greatest: float

    def __str__(self) -> str:
        """Return the ratio as text, with its range in brackets."""
        return f"{self.of_medians:.2f} ({self.least:.2f} to {self.greatest:.2f})"


class Report:
    """All rounds. Variants and scenes stay in the order in which they were measured."""

    def __init__(self, measured: Sequence[Measured]) -> None:
        self.measured = measured
        self.variants = list(dict.fromkeys(m.variant for m in measured))
        self.scenes = list(dict.fromkeys(m.scene for m in measured))

    def has(self, variant: str, scene: str) -> bool:
        """Return whether there are figures."""
        return any((m.variant, m.scene) == (variant, scene) for m in self.measured)

    def variants_of(self, scene: str) -> list[str]:
        """Return the variants that were measured in a scene."""
        return [variant for variant in self.variants if self.has(variant, scene)]

    def by_round(self, variant: str, scene: str, figure: str = "cpu") -> dict[int, float]:
        """Return a figure of every round, by the round's number."""
        return {
            m.round: getattr(m.figures, figure)
            for m in self.measured
            if (m.variant, m.scene) == (variant, scene)
        }

    def median(self, variant: str, scene: str, figure: str = "cpu") -> float:
        """Return the median of all rounds."""
        return median(self.by_round(variant, scene, figure).values())

    def ratio(self, variant: str, other: str, scene: str, figure: str = "cpu") -> Ratio:
        """Return the ratio of two variants' medians in one scene, with the range of single rounds."""
        ours, theirs = self.by_round(variant, scene, figure), self.by_round(other, scene, figure)
        rounds = [ours[number] / theirs[number] for number in ours.keys() & theirs.keys()]
        return Ratio(median(ours.values()) / median(theirs.values()), min(rounds), max(rounds))

    def table(self, *, base: str) -> Iterable[str]:
        """Yield the lines of a table: a block for each scene.

        Each line ends with the base's total CPU, divided by that of the line's variant.
        """
        width = max(len(name) for name in (*self.variants, *(TITLES.get(s, s) for s in self.scenes)))
        for scene in self.scenes:
            heads = "".join(f"{head:>16}" for head in COLUMNS)
            yield f"\n{TITLES.get(scene, scene):<{width}}{heads}   total CPU of {base} ÷ this line's (range)"
            for variant in self.variants_of(scene):
                cells = "".join(
                    f"{format(self.median(variant, scene, figure), form):>16}"
                    for figure, form in COLUMNS.values()
                )
                known = variant != base and self.has(base, scene)
                ratio = f"   {self.ratio(base, variant, scene, 'total_cpu')}" if known else ""
                yield f"{variant:<{width}}{cells}{ratio}"

    def as_json(self) -> dict[str, Any]:
        """Return the medians, and the figures of each round."""
        names = [*(field.name for field in fields(Figures)), "total_cpu"]
        medians = {
            scene: {
                variant: {name: round(self.median(variant, scene, name), 3) for name in names}
                for variant in self.variants_of(scene)
            }
            for scene in self.scenes
        }
        return {"medians": medians, "rounds": [asdict(m) for m in self.measured]}

    def ratios(self, base: str, figure: str) -> dict[str, dict[str, Any]]:
        """Return, for each scene, the ratio of the base's figure to that of each other variant."""
        return {
            scene: {
                other: asdict(self.ratio(base, other, scene, figure))
                for other in self.variants
                if other != base and self.has(other, scene) and self.has(base, scene)
            }
            for scene in self.scenes
        }
