"""A client that tries to fill the disk with stored responses of Idempotency-Keys."""

import random
from collections.abc import Iterator
from time import monotonic

import httpx
import pytest

from dev.postgres import PostgresServer
from tests.abuse.conftest import default_environment
from tests.abuse.honest import honest_person
from tests.support.factories import someone
from tests.support.servers.pgbouncer import pgbouncer
from tests.support.servers.service import Service, serving

pytestmark = pytest.mark.server

TASKS = 50  # in each batch
TOO_MANY = "/problems/too-many-keys"
MB = 1024 * 1024  # bytes
BYTES_MAX = 32 * MB  # of the stored responses of one person
LETTERS = [chr(code) for code in range(0x4E00, 0x9F00)]  # 3 bytes each; their random text hardly compresses


@pytest.fixture(scope="module", params=["directly", "through PgBouncer"])
def service(
    request: pytest.FixtureRequest, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service with default limits, with its database directly or through PgBouncer."""
    folder = tmp_path_factory.mktemp("service")
    if request.param == "directly":
        with serving(default_environment(database_url), folder) as service:
            yield service
        return
    with (
        pgbouncer(database_url, tmp_path_factory.mktemp("pgbouncer")) as through,
        serving(default_environment(f"{through}?pgbouncer=true"), folder) as service,
    ):
        yield service


class Hoarder:
    """A client that sends each request with a new key, as long as allowed."""

    def __init__(self, user: str, client: httpx.Client) -> None:
        self.user = user
        self.client = client
        self._keys = 0

    def ask(self, method: str, path: str, body: object, *, keyed: bool = True) -> httpx.Response:
        """Send a request, with a new Idempotency-Key if it is `keyed`."""
        self._keys += 1
        headers = {"idempotency-key": f"{self._keys:0255}"} if keyed else {}
        return self.client.request(method, path, json=body, headers=headers)


@pytest.fixture
def hoarder(service: Service) -> Iterator[Hoarder]:
    user = someone("hoarder")
    url, headers = f"{service.url}/api/me/tasks", service.headers(user)
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        yield Hoarder(user, client)


def kept_on_disk(postgres: PostgresServer, database_url: str) -> int:
    """Return the bytes on disk of the table of stored responses, indexes included."""
    size = "SELECT pg_total_relation_size('kept_answers')"
    return int(postgres.query(size, database_url.rpartition("/")[2]))


def test_batches_that_change_nothing_use_no_more_disk_than_one_person_may_use(
    service: Service, hoarder: Hoarder, postgres: PostgresServer, database_url: str
) -> None:
    chance = random.Random(1)
    for _ in range(2):
        text = "".join(chance.choices(LETTERS, k=6_000))
        new = [{"op": "create", "title": "x", "description": text[n:] + text[:n]} for n in range(TASKS)]
        made = hoarder.ask("POST", "/batch", {"operations": new}, keyed=False)
        assert made.status_code == 200
    tasks = [each["id"] for each in hoarder.client.get("", params={"limit": TASKS}).json()]
    nothing = {"operations": [{"op": "complete", "id": each, "completed": False} for each in tasks]}
    before = kept_on_disk(postgres, database_url)

    with honest_person(service) as honest:
        answers = [hoarder.ask("POST", "/batch", nothing) for _ in range(80)]
    done = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]

    assert len(done) == BYTES_MAX // len(done[0].content)
    assert len(done) + len(refused) == 80
    assert {answer.json()["type"] for answer in refused} == {TOO_MANY}
    assert all(86_000 < int(answer.headers["retry-after"]) <= 86_400 for answer in refused)
    assert kept_on_disk(postgres, database_url) - before < 1.2 * BYTES_MAX
    assert (honest.share_answered, honest.worst < 3) == (1, True)
    assert hoarder.ask("POST", "/batch", nothing, keyed=False).status_code == 200


@pytest.mark.quiet
def test_one_person_has_at_most_10000_keys_and_permanent_deletions_stay_fast(
    service: Service, hoarder: Hoarder, postgres: PostgresServer, database_url: str
) -> None:
    name = database_url.rpartition("/")[2]
    task_id = hoarder.ask("POST", "", {"title": "x"}).json()["id"]
    postgres.query(
        f"""INSERT INTO kept_answers
            SELECT user_id, route, 'key ' || n, fingerprint, status, headers, body, kept_at,
                   ARRAY[md5(n::text)::uuid]
            FROM kept_answers, generate_series(1, 9989) AS n WHERE user_id = '{hoarder.user}';
            UPDATE task_owners SET kept_answers = 9990 WHERE user_id = '{hoarder.user}'""",
        name,
    )

    with honest_person(service) as honest:
        statuses = [hoarder.ask("POST", "", {"title": "x"}).status_code for _ in range(50)]
        began = monotonic()
        deleted = hoarder.ask("DELETE", f"/{task_id}?permanent=true", None, keyed=False)
        took = monotonic() - began

    assert (statuses.count(201), statuses.count(429)) == (10, 40)
    assert (deleted.status_code, took < 1) == (204, True)
    assert (honest.share_answered, honest.worst < 3) == (1, True)
