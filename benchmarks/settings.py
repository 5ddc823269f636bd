"""Settings of a run: `make bench ROUNDS=3 SCENES=list,create ALG=EdDSA`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from benchmarks.scenes import TITLES
from benchmarks.servers import BEFORE, SERVERS, Server, taskward_at
from dev.steps import CannotRun

ALGORITHMS: Final = ("HS256", "EdDSA")
TASKS: Final = 1_000_000
POOLERS: Final = ("", "1", "forgets")  # values of POOLER: see `BenchSettings.pooler`
CLIENTS: Final = 16  # requests in progress at once
FAR_CLIENTS: Final = 64  # the same, if the database is far away


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """What a run measures, and how much of it."""

    rounds: int
    seconds: float  # of load for each scene
    tasks: int  # in the data set
    scenes: tuple[str, ...]
    servers: tuple[str, ...]
    algorithm: str
    more_tasks: int  # tasks in an additional data set of `make bench-growth`; 0: none
    before: str  # a commit of Taskward to compare with; empty: none
    distance: int  # milliseconds of latency to the database in each direction; 0: it is on this machine
    pooler: str  # in front of the database. "1" keeps prepared statements, "forgets" does not; "": none

    def as_json(self) -> dict[str, Any]:
        """Return the settings as JSON, which the file of the results contains."""
        return asdict(self)

    @property
    def clients(self) -> int:
        """How many requests are in progress at once: more if the database is far away."""
        return FAR_CLIENTS if self.distance else CLIENTS

    @property
    def route(self) -> str:
        """A short name of the connection to the database, for file names; empty if it is direct."""
        parts = ["pooler"] if self.pooler == "1" else ["pooler", self.pooler] if self.pooler else []
        return "-".join([*parts, *(["distance", str(self.distance)] if self.distance else [])])

    @property
    def route_in_words(self) -> str:
        """The connection to the database, for a sentence."""
        keeps = "keeps" if self.pooler == "1" else "forgets"
        pooler = f"behind PgBouncer 1.24 with TLS, which {keeps} prepared statements" if self.pooler else ""
        distance = f"with a latency of {self.distance} ms in each direction" if self.distance else ""
        return " and ".join(filter(None, (pooler, distance))) or "on the same machine, reached directly"

    def chosen_servers(self) -> list[Server]:
        """Return the servers to measure, in the order in which each round measures them."""
        before = [taskward_at(self.before)] if self.before else []
        return [server for server in (*SERVERS[:1], *before, *SERVERS[1:]) if server.name in self.servers]

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "BenchSettings":
        """Read the settings from environment variables.

        Raises:
            CannotRun: lists every invalid variable.
        """
        faults: list[str] = []

        def number(name: str, default: int, least: int) -> int:
            text = env.get(name) or str(default)
            if not text.isdecimal() or int(text) < least:
                faults.append(f"{name} is {text!r}: set it to a whole number of at least {least}")
                return default
            return int(text)

        def some(name: str, known: tuple[str, ...]) -> tuple[str, ...]:
            given = tuple(part.strip() for part in env.get(name, "").split(",") if part.strip())
            faults.extend(
                f"{name} contains {part!r}, which is unknown. Known names: {', '.join(known)}"
                for part in given
                if part not in known
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
            more_tasks=number("MORE_TASKS", 0, 0),
            before=before,
            distance=number("DISTANCE", 0, 0),
            pooler=pooler,
        )
        if faults:
            raise CannotRun("\n".join(faults))
        return settings
