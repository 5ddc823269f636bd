"""`make bench`: Taskward beside its peers, in one run on one machine."""

import asyncio
from contextlib import ExitStack
from typing import Any

from benchmarks import chart, dataset, machine, readme, results
from benchmarks.agreement import Disagreement, collect_answers
from benchmarks.bed import Bed
from benchmarks.extras import Extras, measure_extras
from benchmarks.measuring import Measured
from benchmarks.report import Report
from benchmarks.running import DidNotStart
from benchmarks.scenes import OURS, requests_of
from benchmarks.servers import TASKWARD, Server
from benchmarks.settings import BenchSettings
from dev.steps import print_progress, step


def run(chosen: BenchSettings, stack: ExitStack) -> None:
    """Prepare, compare, measure, write."""
    print("Taskward beside its peers\n", flush=True)
    bed = Bed.make(chosen, stack)
    check_agreement(bed)
    bed.refuse_without_wrk()
    measured, starts = measure_rounds(bed)
    report = Report(measured)
    extras = measure_extras(bed) if TASKWARD in bed.commands and not chosen.route else None
    print(*report.table(base=TASKWARD.title), *(extras.lines() if extras else ()), sep="\n")
    write(bed, report, starts, extras)


def check_agreement(bed: Bed) -> None:
    """Check that all servers give the same responses. Leave out a peer that does not start.

    Raises:
        Disagreement: two servers differ; the message names them.
    """
    ann, bob = bed.owners[:2]
    forged = ann.token[:-8] + ("A" * 8 if not ann.token.endswith("A" * 8) else "B" * 8)
    answered: dict[str, list[Any]] = {}
    with step("The same request gets the same answer from all of them"):
        for server in list(bed.commands):
            try:
                with bed.started(server) as started:
                    found = collect_answers(started.url, ann, bob, forged, checks=server.checks)
                    answered[server.title] = found
            except Disagreement as error:
                raise Disagreement(f"{server.title}: {error}") from error
            except DidNotStart as error:
                if server is TASKWARD:
                    raise
                del bed.commands[server]
                print(f"\n    left out: {server.title} does not start: {error}", flush=True)
        first, *others = answered
        for other in others:
            for one, another in zip(answered[first], answered[other], strict=True):
                if one != another:
                    raise Disagreement(f"{first} says {one}\n{other} says {another}")
    asyncio.run(dataset.restore(bed.data))


def measure_rounds(bed: Bed) -> tuple[list[Measured], dict[str, list[float]]]:
    """Measure every scene on every server in every round, so that a slow moment of the machine affects all.

    Returns the figures, and the seconds from each start to the first answer, by the server's title.
    """
    measured: list[Measured] = []
    starts: dict[str, list[float]] = {server.title: [] for server in bed.commands}
    turns = [(number, server) for number in range(bed.chosen.rounds) for server in bed.commands]
    for turn, (number, server) in enumerate(turns):
        print_progress(f"round {number + 1} of {bed.chosen.rounds}: {server.title}", turn / len(turns))
        with bed.started(server) as started:
            starts[server.title].append(started.first_answer)
            for scene in scenes_of(server, bed.chosen):
                requests = requests_of(scene, bed.owners)
                figures = bed.measure(started, requests, seconds=bed.chosen.seconds)
                measured.append(Measured(number, server.title, scene, figures))
        asyncio.run(dataset.restore(bed.data))
    print_progress("measured", 1)
    return measured, starts


def scenes_of(server: Server, chosen: BenchSettings) -> list[str]:
    """Return the chosen scenes that a server can play: the peers have no Idempotency-Key and no changes."""
    return [scene for scene in chosen.scenes if scene not in OURS or server.plays(scene)]


def write(bed: Bed, report: Report, starts: dict[str, list[float]], extras: Extras | None) -> None:
    """Write the figures and draw the chart. Only a complete run replaces the tables of the README."""
    where = machine.describe_run(bed)
    found = {
        **where,
        "settings": bed.chosen.as_json(),
        **report.as_json(),
        "cpu_of_taskward_to": report.ratios(TASKWARD.title, "cpu"),
        "whole_of_taskward_to": report.ratios(TASKWARD.title, "total_cpu"),
        "seconds_to_the_first_answer": starts,
        "extras": extras.as_json() if extras else None,
    }
    route, page = bed.chosen.route, results.FOLDER / "README.md"
    name = f"results-{route}.json" if route else "results.json"
    results.write(name, found)
    print(f"\nWritten: {results.FOLDER / name}")
    if not route:
        results.FOLDER.joinpath("chart.svg").write_text(chart.draw(report, where))
    if bed.is_whole and (extras or route in readme.ROUTES):
        readme.replace_between_marks(
            route or "bench", readme.comparison(report, extras, starts, bed.chosen, where), page
        )
        if not route:
            readme.replace_between_marks("figures", readme.figures(report, where))
    else:
        print(
            "The tables stay: only a run of every server and scene, with HS256 and 1,000,000 tasks, replaces"
            " them."
        )
