"""Searches as expensive as they may be: only the person who sends them notices."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.abuse.conftest import default_environment
from tests.abuse.honest import honest_person
from tests.abuse.readers import written
from tests.support.factories import someone
from tests.support.servers.pgbouncer import pgbouncer
from tests.support.servers.service import Service, serving

pytestmark = [pytest.mark.server, pytest.mark.quiet]

TASKS = 1_200
AT_ONCE = 24  # requests, more than a pool of 10
SECONDS = 8
LONG = {"op": "create", "title": "x", "description": "a" * 10_000}
WORDS = " ".join("b" + "a" * (39 - number) for number in range(10))
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
    """A service with default limits, whose connections can be told from others."""
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


def test_one_person_who_searches_through_long_texts_without_a_pause_holds_back_nobody_else(
    service: Service, database_url: str
) -> None:
    hog = someone("hog")
    for _ in range(TASKS // 100):
        done = written(service, "/batch", {"operations": [LONG] * 100}, hog)
        assert done.status_code == 200, done.text
    with honest_person(service) as quiet:
        time.sleep(3)

    with honest_person(service) as honest, honest_person(service, "/health/ready") as ready:
        answers = flood(service, hog)
    busy = busy_after(database_url, seconds=2)

    said = f"{answers}, quiet p99 {quiet.p99:.3f}, honest p99 {honest.p99:.3f}, ready p99 {ready.p99:.3f}"
    assert (honest.share_answered, ready.share_answered) == (1, 1), said
    assert honest.p99 < max(3 * quiet.p99, 1), said
    assert ready.worst < 2, said
    assert answers.keys() <= {"200", "search-too-slow", "too-many-at-once", "too-many-requests"}, said
    assert busy == 0


def flood(service: Service, user: str) -> Counter[str]:
    """Search, list with filters and count, so many at once; return what was answered."""
    headers, ends = service.headers(user), time.monotonic() + SECONDS
    paths = [("", {"q": WORDS, "sort": "due"}), ("", {"q": WORDS}), ("/summary", {}), ("", {"tag": "none"})]

    def ask(number: int) -> Counter[str]:
        answers: Counter[str] = Counter()
        with httpx.Client(base_url=f"{service.url}/api/me/tasks", headers=headers, timeout=20) as client:
            while time.monotonic() < ends:
                path, query = paths[number % len(paths)]
                answer = client.get(path, params=query)
                is_well = answer.status_code == 200
                answers["200" if is_well else answer.json()["type"].rpartition("/")[2]] += 1
                time.sleep(0 if is_well else 0.1)
        return answers

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return sum(threads.map(ask, range(AT_ONCE)), Counter())


def busy_after(database_url: str, *, seconds: float) -> int:
    """Return how many of the service's server processes are not idle, after so many seconds."""

    async def count() -> int:
        connection = await asyncpg.connect(database_url)
        try:
            return int(await connection.fetchval(BUSY))
        finally:
            await connection.close()

    time.sleep(seconds)
    return asyncio.run(count())
