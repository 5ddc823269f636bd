"""The README's tables: written by a run, never by hand."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.extras import Extras
from benchmarks.machine import in_words
from benchmarks.report import Report
from benchmarks.scenes import OURS, TITLES
from benchmarks.servers import TASKWARD
from benchmarks.settings import BenchSettings

README: Final = Path(__file__).parent.parent / "README.md"
ROWS: Final = {
    "requests/s": ("rate", ",.0f"),
    "p50, ms": ("p50", ".1f"),
    "p99, ms": ("p99", ".1f"),
}
COSTS: Final = {
    "CPU of the server, µs": "cpu",
    "CPU of PostgreSQL, µs": "database_cpu",
    "CPU of server and PostgreSQL, µs": "total_cpu",
    "WAL, bytes": "wal",
}
ROUTES: Final = ("pooler", "distance-5")  # to the database, besides the direct one; each has its own table
NOISE: Final = 1.02  # a ratio up to this counts as equal


def replace_between_marks(mark: str, text: str, file: Path = README) -> None:
    """Replace the text between the two marks of a file."""
    begin, end = f"<!-- {mark}: written by a run -->", f"<!-- /{mark} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    before = file.read_text()
    if not pattern.search(before):
        raise ValueError(f"{file.name} has no place for {mark}")
    file.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", before))
    print(f"Written: {file.name}, {mark}")


def comparison(
    report: Report,
    extras: Extras | None,
    starts: dict[str, list[float]],
    chosen: BenchSettings,
    where: dict[str, Any],
) -> str:
    """Return the table that compares Taskward with its peers, and the sentences below it."""
    rounds = len({m.round for m in report.measured})
    how = (
        f"Medians of {rounds} rounds; each measured every server once. {chosen.clients} clients,"
        f" 1,000,000 tasks of 5,000 owners, HS256. PostgreSQL is {chosen.route_in_words}."
    )
    points = [*_list_better_servers(report), *_only_ours(report), *(extras.lines() if extras else ())]
    return "\n".join(
        [*_table(report, starts), "", *(f"- {point}" for point in points), "", f"{how} {in_words(where)}."]
    )


def _table(report: Report, starts: dict[str, list[float]]) -> Iterator[str]:
    ours, variants = TASKWARD.title, report.variants

    def cells(scene: str, figure: str, form: str) -> list[str]:
        return [
            format(report.median(v, scene, figure), form) if report.has(v, scene) else "" for v in variants
        ]

    def ratios(scene: str, figure: str) -> list[str]:
        others = {
            v
            for v in report.variants_of(scene)
            if v != ours and all(report.by_round(v, scene, figure).values())
        }
        return [str(report.ratio(ours, v, scene, figure)) if v in others else "" for v in variants]

    def row(head: str, cells: list[str]) -> str:
        return f"| {head} | {' | '.join(cells)} |"

    yield row("", variants)
    yield f"|---|{'--:|' * len(variants)}"
    for scene in report.scenes:
        title = TITLES[scene]
        for head, figure in COSTS.items():
            yield row(f"**{title}**: {head} a request", cells(scene, figure, ",.0f"))
            if any(compared := ratios(scene, figure)):
                yield row("ratio: Taskward / this server", compared)
        for head, (figure, form) in ROWS.items():
            yield row(head, cells(scene, figure, form))
    last = next(scene for scene in reversed(report.scenes) if scene not in OURS)
    yield row(
        "**memory** of all processes, MB", [f"{report.median(v, last, 'memory'):.0f}" for v in variants]
    )
    yield row("**start** to the first list, s", [f"{median(starts[v]):.2f}" for v in variants])


def _list_better_servers(report: Report) -> Iterator[str]:
    """List the servers that are better than Taskward, and in which scenes."""
    ours = TASKWARD.title
    compared = {
        "cpu": "CPU of the server",
        "total_cpu": "CPU of server and PostgreSQL",
        "rate": "requests/s",
        "p99": "p99",
    }
    for figure, what in compared.items():
        found = []
        for scene in report.scenes:
            for peer in report.variants_of(scene):
                if peer != ours:
                    ratio = report.ratio(ours, peer, scene, figure).of_medians
                    if (1 / ratio if figure == "rate" else ratio) > NOISE:
                        found.append(f"{peer} at {TITLES[scene]} ({ratio:.2f})")
        if found:
            yield f"Better than Taskward in {what} (Taskward's ratio in brackets): {'; '.join(found)}."


def _only_ours(report: Report) -> Iterator[str]:
    """Compare each scene of Taskward alone with a similar scene (`OURS`)."""
    for scene, plain in OURS.items():
        if {scene, plain} <= set(report.scenes):
            cost, compared = (report.median(TASKWARD.title, each, "total_cpu") for each in (scene, plain))
            title = TITLES[scene][0].upper() + TITLES[scene][1:]
            yield f"{title}: {cost / compared:.2f} of {TITLES[plain]}, in CPU of server and PostgreSQL."


def figures(report: Report, where: dict[str, Any]) -> str:
    """Return the README's small table: for each scene the total CPU, and the ratio of Taskward's to it."""
    ours = TASKWARD.title
    lines = [
        f"| CPU of server and PostgreSQL together, µs a request | {' | '.join(report.variants)} |",
        f"|---|{'--:|' * len(report.variants)}",
    ]
    for scene in report.scenes:
        cells = [
            f"{report.median(v, scene, 'total_cpu'):,.0f}"
            + ("" if v == ours else f" ({report.ratio(ours, v, scene, 'total_cpu').of_medians:.2f})")
            if report.has(v, scene)
            else "-"
            for v in report.variants
        ]
        lines.append(f"| {TITLES[scene]} | {' | '.join(cells)} |")
    note = (
        "In brackets: Taskward's CPU as a ratio of that server's; less than 1 is better."
        " A dash: only Taskward has this feature."
    )
    return "\n".join([*lines, "", f"{note} {in_words(where)}."])


def growth(report: Report, bases: Mapping[str, str], where: dict[str, Any]) -> str:
    """Return the table of `make bench-growth`: the cost at each size, as a ratio of that in `bases` too."""
    figures = {"CPU of the server, µs a request": ("cpu", ",.0f"), "p50, ms": ("p50", ".2f")}
    heads = (f"{head} | ratio" for head in figures)
    lines = [f"| | {' | '.join(heads)} |", "|---|--:|--:|--:|--:|"]
    for scene in report.scenes:
        for variant in filter(lambda variant: report.has(variant, scene), report.variants):
            cells = []
            for figure, form in figures.values():
                cells.append(format(report.median(variant, scene, figure), form))
                base = bases[variant]
                cells.append("" if base == variant else str(report.ratio(variant, base, scene, figure)))
            lines.append(f"| {TITLES[scene]}: {variant} | {' | '.join(cells)} |")
    rounds = len({m.round for m in report.measured})
    how = (
        f"Medians of {rounds} rounds. A ratio compares a row with the first row of its group,"
        " and a page far down with the row above it."
    )
    return "\n".join([*lines, "", f"{how} Measured on {in_words(where)}."])
