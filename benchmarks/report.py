"""What was measured, as medians and ratios of medians with their spread."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from benchmarks.scenes import TITLES
from benchmarks.servers import SERVERS, Server

FIGURES: Final = ("rate", "cpu", "database_cpu", "p50", "p95", "p99", "memory")
COLUMNS: Final = (
    ("requests/s", "rate", "{:,.0f}"),
    ("CPU µs/request", "cpu", "{:,.0f}"),
    ("PostgreSQL's µs", "database_cpu", "{:,.0f}"),
    ("p50 ms", "p50", "{:.1f}"),
    ("p95 ms", "p95", "{:.1f}"),
    ("p99 ms", "p99", "{:.1f}"),
    ("MB", "memory", "{:.0f}"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One scene on one server in one round."""

    round: int
    server: str
    scene: str
    rate: float  # requests a second
    cpu: float  # microseconds of the server for a request
    database_cpu: float  # microseconds of PostgreSQL for a request
    p50: float  # milliseconds
    p95: float
    p99: float
    memory: float  # MB of all processes


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours to a peer's: of the medians, and the least and the greatest of any round."""

    of_medians: float
    least: float
    greatest: float

    def __str__(self) -> str:
        """Write it as people read ratios."""
        return f"{self.of_medians:.2f} ({self.least:.2f} to {self.greatest:.2f})"


class Report:
    """All rounds."""

    def __init__(self, measured: Sequence[Measured]) -> None:
        self.measured = measured
        seen = {m.server for m in measured}
        self.servers: list[Server] = [server for server in SERVERS if server.name in seen]
        self.scenes = [scene for scene in TITLES if any(m.scene == scene for m in measured)]

    def median(self, server: str, scene: str, figure: str) -> float:
        """Return the middle one of all rounds."""
        return median(self._rounds(server, scene, figure).values())

    def ratio(self, server: str, peer: str, scene: str, figure: str = "cpu") -> Ratio:
        """Compare two servers in one scene."""
        ours, theirs = self._rounds(server, scene, figure), self._rounds(peer, scene, figure)
        each = [ours[number] / theirs[number] for number in ours if number in theirs]
        return Ratio(median(ours.values()) / median(theirs.values()), min(each), max(each))

    def table(self) -> Iterable[str]:
        """Write the figures, a block for each scene."""
        width = max(len(server.title) for server in self.servers)
        for scene in self.scenes:
            heads = "".join(f"{head:>17}" for head, _, _ in COLUMNS)
            yield f"\n{TITLES[scene]:<{width}}{heads}   CPU of Taskward to this (least to greatest)"
            for server in self.servers:
                cells = "".join(
                    f"{form.format(self.median(server.name, scene, figure)):>17}"
                    for _, figure, form in COLUMNS
                )
                ratio = (
                    ""
                    if server.name == "taskward" or not self._rounds("taskward", scene, "cpu")
                    else f"   {self.ratio('taskward', server.name, scene)}"
                )
                yield f"{server.title:<{width}}{cells}{ratio}"

    def as_json(self) -> dict[str, Any]:
        """Return medians, ratios and every single figure."""
        medians = {
            scene: {
                server.name: {
                    figure: round(self.median(server.name, scene, figure), 2) for figure in FIGURES
                }
                for server in self.servers
            }
            for scene in self.scenes
        }
        peers = [server.name for server in self.servers if server.name != "taskward"]
        ratios = {
            scene: {peer: asdict(self.ratio("taskward", peer, scene)) for peer in peers}
            for scene in self.scenes
            if self._rounds("taskward", scene, "cpu")
        }
        return {"medians": medians, "cpu_ratios": ratios, "rounds": [asdict(m) for m in self.measured]}

    def _rounds(self, server: str, scene: str, figure: str) -> dict[int, float]:
        return {
            m.round: getattr(m, figure) for m in self.measured if (m.server, m.scene) == (server, scene)
        }
