"""Settings of a run: `make bench ROUNDS=3 SCENES=list,create ALG=EdDSA`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from benchmarks.scenes import TITLES
from benchmarks.servers import BEFORE, SERVERS, Server
from benchmarks.servers import before as taskward_at
from dev.steps import Cannot

ALGORITHMS: Final = ("HS256", "EdDSA")
TASKS: Final = 1_000_000
POOLERS: Final = ("", "1", "forgets")
CLIENTS: Final = 16
FAR_CLIENTS: Final = 64


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """How much is measured."""

    rounds: int
    seconds: float  # of load for each scene
    tasks: int  # rows of the data set
    scenes: tuple[str, ...]
    servers: tuple[str, ...]
    algorithm: str
    more_tasks: int  # rows of one more data set for `make bench-growth`; 0: none
    before: str  # a commit of Taskward to compare with; empty: none
    distance: int  # milliseconds to the database, each way; 0: it is on this machine
    pooler: str  # before it: 1 keeps prepared statements, "forgets" does not; empty: none

    def as_json(self) -> dict[str, Any]:
        """Return the settings in a form for readers of the results."""
        return asdict(self)

    @property
    def clients(self) -> int:
        """How many requests are under way at once: more where each takes longer."""
        return FAR_CLIENTS if self.distance else CLIENTS

    @property
    def way(self) -> str:
        """Name the way to the database, for files; empty where it is direct."""
        parts = ["pooler"] if self.pooler == "1" else ["pooler", self.pooler] if self.pooler else []
        return "-".join([*parts, *(["distance", str(self.distance)] if self.distance else [])])

    @property
    def way_in_words(self) -> str:
        """Describe the way to the database."""
        keeps = "keeps" if self.pooler == "1" else "forgets"
        pooler = f"behind PgBouncer 1.24 with TLS, which {keeps} prepared statements" if self.pooler else ""
        distance = f"{self.distance} ms away each way" if self.distance else ""
        return " and ".join(filter(None, (pooler, distance))) or "on the same machine, reached directly"

    def chosen_servers(self) -> list[Server]:
        """Return the servers to measure, in the order of their turns."""
        before = [taskward_at(self.before)] if self.before else []
        return [server for server in (*SERVERS[:1], *before, *SERVERS[1:]) if server.name in self.servers]

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "BenchSettings":
        """Read them.

        Raises:
            Cannot: naming everything that is wrong.
        """
        faults: list[str] = []

        def number(name: str, default: int, least: int) -> int:
            text = env.get(name) or str(default)
            if not text.isdecimal() or int(text) < least:
                faults.append(f"{name} is {text!r}: set it to a whole number from {least}")
                return default
            return int(text)

        def some(name: str, known: tuple[str, ...]) -> tuple[str, ...]:
            given = tuple(part.strip() for part in env.get(name, "").split(",") if part.strip())
            faults.extend(
                f"{name} names {part!r}: known are {', '.join(known)}" for part in given if part not in known
            )
            return tuple(part for part in known if part in given) or known

        before = env.get("BEFORE", "").strip()
        known = (*(server.name for server in SERVERS), *([BEFORE] if before else []))
        pooler = env.get("POOLER", "")
        if pooler not in POOLERS:
            faults.append(f"POOLER is {pooler!r}: set it to {' or '.join(filter(None, POOLERS))}")
        algorithm = env.get("ALG") or "HS256"
        if algorithm not in ALGORITHMS:
            faults.append(f"ALG is {algorithm!r}: set it to {' or '.join(ALGORITHMS)}")
        settings = cls(
            rounds=number("ROUNDS", 5, 1),
            seconds=number("SECONDS", 3, 1),
            tasks=number("TASKS", TASKS, 10_000),
            scenes=some("SCENES", tuple(TITLES)),
            servers=some("SERVERS", known),
            algorithm=algorithm,
            more_tasks=number("ROWS", 0, 0),
            before=before,
            distance=number("DISTANCE", 0, 0),
            pooler=pooler,
        )
        if faults:
            raise Cannot("\n".join(faults))
        return settings
