"""The search of the logs finds planted values of each kind, and makes the run fail."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.infra.auth.jwt_verifier import issue_token
from tests import conftest
from tests.support import log_search_hooks
from tests.support.factories import NewTaskFactory, TaskFactory, someone
from tests.support.log_search import LogSearch, recording_requests
from tests.support.people import TRUST

ROOT = Path(__file__).parent.parent
ADDRESS = "http://testserver/api/opaque%20owner/tasks?q=looked+for+words"
BODY = {
    "title": "said at the top",
    "operations": [
        {"op": "create", "title": "said in a batch", "description": "more of it", "tags": ["tägged so"]}
    ],
}
PLANTED = {
    "a token": f"reason: {issue_token(TRUST, user_id='x', lifetime=1)}",
    "an e-mail address": "signed in as ann.b+c@mail.example.com",
    "an invented user id": f'"owner": "{someone()}"',
    "a user id in a path": f"GET /api/{someone('ä b')}/tasks",
    "a factory's title": f"title={TaskFactory.build().title}",
    "a factory's new title": f"title={NewTaskFactory.build().title}",
    "a factory's description": f"({TaskFactory.build().description})",
    "a password in an address": "cannot connect to postgresql://ann:hunter2@localhost:5432/db",
    "a secret": "secret=only-for-these-tests",
    "a token that is no JWT": "token=opaque-token",
    "a title": "'said at the top' is refused",
    "a title in a batch": "'said in a batch' is refused",
    "a description": "more of it",
    "a tag": "tägged so",
    "a tag in JSON": r"t\u00e4gged so",
    "a search word": "q='looked for words'",
    "an owner": "opaque owner",
    "an owner as it is in the path": "opaque%20owner",
}
HARMLESS = (
    '"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"',
    '{"method": "GET", "route": "/api/{user_id}/tasks", "status": 200, "event": "request"}',
    '"request_id": "0123456789abcdef0123456789abcdef", "timestamp": "2026-01-01T12:00:00.000000Z"',
    "database-unavailable reason=TimeoutError: the database does not answer",
    "/home/someone/src/app/infra/tasks.py:12 NeonTaskRepository.get",
    "keys not fetched reason=http://127.0.0.1:9/jwks answered 500",
)


@pytest.fixture(scope="module")
def search() -> LogSearch:
    """A search for the private values of one request, and for one secret."""
    search = LogSearch()
    search.note("only-for-these-tests")
    headers = {"authorization": "Bearer opaque-token"}
    search.note_request(httpx.Request("POST", ADDRESS, json=BODY, headers=headers))
    return search


@pytest.mark.parametrize("line", PLANTED.values(), ids=PLANTED)
def test_a_planted_value_is_found(search: LogSearch, line: str) -> None:
    assert list(search.private_in(line))


@pytest.mark.parametrize("line", HARMLESS, ids=lambda line: line[:20])
def test_a_value_that_is_not_personal_is_not_found(search: LogSearch, line: str) -> None:
    assert not list(search.private_in(line))


async def test_requests_of_sync_and_async_clients_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[httpx.Request] = []
    monkeypatch.setattr(LogSearch, "note_request", lambda _, request: recorded.append(request))
    transport = httpx.MockTransport(lambda _: httpx.Response(204))

    with recording_requests():
        httpx.Client(transport=transport).get("http://testserver/1")
        async with httpx.AsyncClient(transport=transport) as client:
            await client.get("http://testserver/2")

    assert {request.url.path for request in recorded} == {"/1", "/2"}


def test_conftest_has_each_hook_of_the_search() -> None:
    hooks = {
        name: hook for name, hook in vars(log_search_hooks).items() if name.startswith(("pytest_", "_rec"))
    }

    assert len(hooks) == 5
    assert {name: getattr(conftest, name, None) for name in hooks} == hooks


@pytest.mark.parametrize(
    ("printed", "status", "workers"),
    [("harmless", 0, "0"), (PLANTED["an e-mail address"], 1, "0"), (PLANTED["an e-mail address"], 1, "1")],
    ids=["clean", "planted", "planted, in a worker"],
)
def test_a_run_fails_only_if_one_of_its_log_lines_is_private(
    printed: str, status: int, workers: str, tmp_path: Path
) -> None:
    test = tmp_path / "test_planted.py"
    test.write_text(f"def test_that_passes():\n    print({printed!r})\n")

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            *("-p", "tests.support.log_search_hooks", "-p", "xdist", "-n", workers),
            str(test),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # to load all plugins takes seconds
        capture_output=True,
        text=True,
        check=False,
    )

    assert "1 passed" in done.stdout
    assert done.returncode == status
    assert ("PRIVATE" in done.stdout) == bool(status)
