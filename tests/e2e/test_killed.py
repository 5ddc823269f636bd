"""The response to a write is lost after its COMMIT: a repeat with the same Idempotency-Key gets the response."""

import threading
from pathlib import Path

import httpx
import pytest

from tests.conftest import environment_for
from tests.support.factories import someone
from tests.support.servers.postgres_proxy import tcp_proxy
from tests.support.servers.service import Service, serving

pytestmark = pytest.mark.server

KEY = {"idempotency-key": '"only-once"'}


def create(service: Service, ann: str) -> httpx.Response:
    """Create a task with `KEY`."""
    headers = service.headers(ann) | KEY
    return httpx.post(f"{service.url}/api/me/tasks", json={"title": "x"}, headers=headers, timeout=10)


def use_a_key(service: Service, ann: str) -> None:
    """Write with another key. A person's later writes with a key are one statement each, as the proxy expects."""
    headers = service.headers(ann) | {"idempotency-key": '"earlier"'}
    created = httpx.post(f"{service.url}/api/me/tasks", json={"title": "earlier"}, headers=headers)
    deleted = httpx.delete(f"{service.url}{created.headers['location']}", headers=service.headers(ann))
    assert deleted.status_code == 204


def tasks_of(service: Service, ann: str) -> list[object]:
    tasks: list[object] = httpx.get(f"{service.url}/api/me/tasks", headers=service.headers(ann)).json()
    return tasks


def test_given_the_service_is_killed_between_commit_and_response_then_the_same_key_gives_the_response(
    database_url: str, tmp_path: Path
) -> None:
    ann = someone()
    unanswered: list[type[Exception]] = []

    def ask() -> None:
        try:
            create(service, ann)
        except httpx.TransportError as error:
            unanswered.append(type(error))

    with tcp_proxy(database_url) as proxy, serving(environment_for(proxy.url), tmp_path) as service:
        use_a_key(service, ann)
        assert tasks_of(service, ann) == []
        proxy.drop_confirmations.set()
        asking = threading.Thread(target=ask)
        asking.start()
        assert proxy.confirmation_dropped.wait(5)
        service.kill()
        asking.join()

    with serving(environment_for(database_url), tmp_path) as service:
        kept = tasks_of(service, ann)
        again = create(service, ann)

        assert len(unanswered) == len(kept) == 1
        assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
        assert [again.json()] == kept == tasks_of(service, ann)


def test_given_the_database_connection_is_lost_after_commit_then_503_and_the_same_key_gives_the_response(
    database_url: str, tmp_path: Path
) -> None:
    ann = someone()
    answers: list[httpx.Response] = []

    with tcp_proxy(database_url) as proxy, serving(environment_for(proxy.url), tmp_path) as service:
        use_a_key(service, ann)
        assert tasks_of(service, ann) == []
        proxy.drop_confirmations.set()
        asking = threading.Thread(target=lambda: answers.append(create(service, ann)))
        asking.start()
        assert proxy.confirmation_dropped.wait(5)
        proxy.drop_confirmations.clear()
        proxy.cut()
        asking.join()
        again = create(service, ann)

        problem = answers[0].json()
        assert (problem["status"], problem["type"]) == (503, "/problems/outcome-unknown")
        assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
        assert tasks_of(service, ann) == [again.json()]
