"""The most expensive reads that are allowed delay only the person who sends them."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from pathlib import Path

import asyncpg
import pytest

from tests.abuse.conftest import default_environment
from tests.abuse.hog import LONG, SEARCHES, TASK_COUNT, hogging
from tests.abuse.honest import honest_person, measure_windows
from tests.abuse.readers import post
from tests.support.factories import someone
from tests.support.servers.pgbouncer import pgbouncer
from tests.support.servers.service import Service, serving

pytestmark = [pytest.mark.server, pytest.mark.quiet]

AT_ONCE = 24  # requests, more than a pool of 10
BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'searched' AND state <> 'idle' AND pid <> pg_backend_pid()
"""


@pytest.fixture(params=["directly", "through a pooler"])
def service(
    request: pytest.FixtureRequest,
    database_url: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """A service with default limits, whose connections can be distinguished from others."""
    folder = tmp_path_factory.mktemp("service")
    if request.param == "directly":
        with serving(default_environment(f"{database_url}?application_name=searched"), folder) as service:
            yield service
        return
    with (
        pgbouncer(database_url, tmp_path, server_connections=10) as through,
        serving(default_environment(f"{through}?application_name=searched"), folder) as service,
    ):
        yield service


def test_one_person_who_searches_long_texts_without_a_pause_delays_nobody_else(
    service: Service, database_url: str
) -> None:
    hog, answers, probes = someone("hog"), Counter[str](), []
    for _ in range(TASK_COUNT // 100):
        done = post(service, "/batch", {"operations": [LONG] * 100}, hog)
        assert done.status_code == 200, done.text

    @contextmanager
    def searching() -> Iterator[None]:
        with (
            hogging(service, hog, at_once=AT_ONCE, paths=SEARCHES) as results,
            honest_person(service, "/health/ready") as ready,
        ):
            yield
        answers.update(results)
        probes.append(ready)

    measured = measure_windows(
        service, searching, lambda window: window.is_fair and probes[-1].worst < 2 and answers["200"] > 0
    )
    busy = count_busy_after(database_url, seconds=2)

    figures = f"{answers}, {'; '.join(map(str, measured))}, ready {[f'{each.p99:.3f}' for each in probes]}"
    assert all(each.abused.share_answered == 1 for each in measured), figures
    assert all(each.share_answered == 1 for each in probes), figures
    assert min(each.worst for each in probes) < 2, figures
    assert any(each.is_fair for each in measured), figures
    assert answers["200"] > 0, figures
    assert answers.keys() <= {"200", "search-too-slow", "too-many-at-once", "too-many-requests"}, figures
    assert busy == 0


def test_four_people_who_search_long_texts_delay_nobody_else(default_service: Service) -> None:
    hogs, answers = [someone("hog") for _ in range(4)], Counter[str]()
    for hog in hogs:
        for _ in range(TASK_COUNT // 100):
            done = post(default_service, "/batch", {"operations": [LONG] * 100}, hog)
            assert done.status_code == 200, done.text

    @contextmanager
    def searching() -> Iterator[None]:
        with ExitStack() as stack:
            floods = [
                stack.enter_context(hogging(default_service, hog, at_once=4, paths=SEARCHES[:2]))
                for hog in hogs
            ]
            yield
        for flood in floods:
            answers.update(flood)

    measured = measure_windows(
        default_service,
        searching,
        lambda window: window.is_fair and window.abused.median < 0.12 and answers["200"] > 0,
    )

    figures = f"{answers}, {'; '.join(map(str, measured))}"
    assert all(each.abused.share_answered == 1 for each in measured), figures
    # In seconds. It is 0.19 if the oldest statement goes first.
    assert min(each.abused.median for each in measured) < 0.12, figures
    assert any(each.is_fair for each in measured), figures
    assert answers["200"] > 0, figures
    assert answers.keys() <= {"200", "search-too-slow", "too-many-at-once", "too-many-requests"}, figures


@pytest.mark.parametrize("path", ["/summary", "/changes"])
def test_one_person_who_reads_a_hundred_thousand_tags_without_a_pause_delays_nobody_else(
    default_service: Service, path: str
) -> None:
    hog, answers = someone("hog"), Counter[str]()
    names = (f"{number:050}" for number in count())
    for _ in range(50):
        tasks = [{"op": "create", "title": "x", "tags": list(islice(names, 20))} for _ in range(100)]
        done = post(default_service, "/batch", {"operations": tasks}, hog)
        assert done.status_code == 200, done.text

    @contextmanager
    def reading() -> Iterator[None]:
        with hogging(default_service, hog, at_once=8, paths=(path,)) as results:
            yield
        answers.update(results)

    measured = measure_windows(default_service, reading, lambda window: window.is_fair and answers["200"] > 0)

    figures = f"{answers}, {'; '.join(map(str, measured))}"
    assert all(each.abused.share_answered == 1 for each in measured), figures
    assert any(each.is_fair for each in measured), figures
    assert answers["200"] > 0, figures
    assert answers.keys() <= {"200", "too-many-requests"}, figures


def count_busy_after(database_url: str, *, seconds: float) -> int:
    """Wait, then return how many of the service's database connections are not idle."""

    async def count_busy() -> int:
        connection = await asyncpg.connect(database_url)
        try:
            return int(await connection.fetchval(BUSY))
        finally:
            await connection.close()

    time.sleep(seconds)
    return asyncio.run(count_busy())
