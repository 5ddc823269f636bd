"""`make bench-growth`: what a request costs when the table, or one person's list, has grown."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from app.api.requests import cursors
from app.domain.identity import UserId
from app.domain.task import TaskId
from app.domain.task_list import NEWEST, Bookmark
from benchmarks import dataset, machine, readme, results
from benchmarks.bed import Bed
from benchmarks.dataset import Dataset
from benchmarks.measuring import Measured
from benchmarks.report import Report
from benchmarks.scenes import Owner, Request, requests_of
from benchmarks.servers import TASKWARD
from benchmarks.settings import TASKS, BenchSettings
from dev.steps import print_progress

SMALL: Final = 10_000  # tasks of the smallest table
PAGE_SIZE: Final = 50  # tasks
LATE_PAGE: Final = 1_000  # its number; the first page is 1


@dataclass(frozen=True, slots=True)
class Size:
    """A table or list of some size, and the title of the smaller one that it is compared with."""

    title: str
    base: str
    data: Dataset
    scenes: dict[str, list[Request]]


def run(chosen: BenchSettings, stack: ExitStack) -> None:
    """Prepare, measure, write."""
    print("Taskward as it grows\n", flush=True)
    bed = Bed.make(replace(chosen, servers=(TASKWARD.name,), tasks=SMALL), stack)
    bed.refuse_without_wrk()
    sizes = [*_sizes_of_tables(bed), *_sizes_of_lists(bed)]
    report = Report(list(_measure_rounds(bed, sizes)))
    where = machine.describe_run(bed)
    table = readme.growth(report, {size.title: size.base for size in sizes}, where)
    print(f"\n{table}")
    results.write("growth.json", {**where, "settings": chosen.as_json(), **report.as_json()})
    readme.replace_between_marks("growth", table, results.FOLDER / "README.md")


def _sizes_of_tables(bed: Bed) -> Iterator[Size]:
    """Yield the same people in larger and larger tables."""
    base = f"{SMALL:,} tasks in all"
    for tasks in sorted({SMALL, TASKS, bed.chosen.more_tasks} - {0}):
        data = dataset.ensure(bed.postgres, tasks)
        owners = asyncio.run(dataset.some_owners(data, bed.issuer.token))
        scenes = {scene: requests_of(scene, owners) for scene in bed.chosen.scenes}
        yield Size(f"{tasks:,} tasks in all", base, data, scenes)


def _sizes_of_lists(bed: Bed) -> Iterator[Size]:
    """Yield people with longer and longer lists, and a late page of the longest list."""
    data = dataset.ensure(bed.postgres, TASKS, heavy=True)
    owners = asyncio.run(dataset.heavy_owners(data, bed.issuer.token))
    titles = [f"{len(owner.task_ids):,} tasks of one owner" for owner in owners]
    for title, owner in zip(titles, owners, strict=True):
        yield Size(
            title, titles[0], data, {scene: requests_of(scene, [owner]) for scene in bed.chosen.scenes}
        )
    if "list" in bed.chosen.scenes:
        yield Size(
            f"page {LATE_PAGE:,} of {titles[-1]}",
            titles[-1],
            data,
            {"list": [_request_of_late_page(owners[-1])]},
        )


def _request_of_late_page(owner: Owner) -> Request:
    """Return the request for LATE_PAGE, as in the `Link` header of the page before it."""
    above = Bookmark(TaskId(UUID(owner.task_ids[(LATE_PAGE - 1) * PAGE_SIZE - 1])))
    cursor = cursors.write(above, UserId(owner.user_id), NEWEST)
    query = urlencode({"limit": PAGE_SIZE, "cursor": cursor})
    return Request("GET", f"{owner.path}?{query}", owner.token)


def _measure_rounds(bed: Bed, sizes: list[Size]) -> Iterator[Measured]:
    """Measure all sizes in every round."""
    turns = [(number, size) for number in range(bed.chosen.rounds) for size in sizes]
    for turn, (number, size) in enumerate(turns):
        print_progress(f"round {number + 1} of {bed.chosen.rounds}: {size.title}", turn / len(turns))
        with bed.started(TASKWARD, data=size.data) as started:
            for scene, requests in size.scenes.items():
                figures = bed.measure(started, requests, seconds=bed.chosen.seconds)
                yield Measured(number, size.title, scene, figures)
        asyncio.run(dataset.restore(size.data))
    print_progress("measured", 1)
