"""`CORS_ORIGINS`: a `*` is exactly one label of a host name, and the log names refused origins."""

from collections.abc import AsyncIterator

import httpx
import pytest
from structlog.testing import capture_logs

from app.api.middleware.response_headers import REPORTED_MAX, Cors
from app.composition import compose
from app.settings import Settings
from tests.conftest import environment_for
from tests.support.in_process import client_of

pytestmark = pytest.mark.server

PREFLIGHT = {"access-control-request-method": "POST"}


@pytest.fixture(scope="module")
async def wildcard_client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with wildcards in `CORS_ORIGINS`."""
    listed = "https://app.example.com,https://*.previews.example.com,http://*.localhost:3000"
    app = compose(Settings.from_env(environment_for(database_url, CORS_ORIGINS=listed)))
    async with client_of(app) as client:
        yield client


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com",
        "https://fix-42.previews.example.com",
        "https://a.previews.example.com",
        "http://tasks.localhost:3000",
        f"https://{'a' * 63}.previews.example.com",
    ],
)
async def test_a_page_of_an_origin_that_is_listed_or_matches_a_wildcard_may_send_requests(
    wildcard_client: httpx.AsyncClient, origin: str
) -> None:
    response = await wildcard_client.get("/health", headers={"origin": origin})
    preflight = await wildcard_client.options("/api/me/tasks", headers={"origin": origin, **PREFLIGHT})

    for answer in (response, preflight):
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "Origin" in answer.headers["vary"]
    assert "POST" in preflight.headers["access-control-allow-methods"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://previews.example.com",
        "https://a.b.previews.example.com",
        "https://.previews.example.com",
        "https://-a.previews.example.com",
        f"https://{'a' * 64}.previews.example.com",
        "https://evil.com/.previews.example.com",
        "https://evil.com#.previews.example.com",
        "https://user@a.previews.example.com",
        "http://a.previews.example.com",
        "https://a.previews.example.com:8443",
        "https://a.previews.example.com.evil.com",
        "https://apreviewsXexample.com",
        "https://a.previewsXexample.com",
        "https://A.previews.example.com",
        "https://*.previews.example.com",
        "null",
    ],
)
async def test_a_page_of_any_other_origin_may_not_send_requests(
    wildcard_client: httpx.AsyncClient, origin: str
) -> None:
    response = await wildcard_client.get("/health", headers={"origin": origin})
    preflight = await wildcard_client.options("/api/me/tasks", headers={"origin": origin, **PREFLIGHT})

    for answer in (response, preflight):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "Origin" in answer.headers["vary"]


def log_of_preflights(*origins: str | bytes) -> list[dict[str, object]]:
    """Answer a CORS preflight from each origin, and return the lines that this adds to the log."""
    cors = Cors(["https://app.example.com"])
    with capture_logs() as logged:
        for origin in origins:
            cors.preflight(origin if isinstance(origin, bytes) else origin.encode(), "GET")
    return [dict(line) for line in logged]


def test_the_log_names_a_refused_origin_and_the_setting_once() -> None:
    lines = log_of_preflights(
        "https://other.example.com", "https://app.example.com", "https://other.example.com"
    )

    assert lines == [
        {
            "event": "origin refused",
            "origin": "https://other.example.com",
            "setting": "CORS_ORIGINS",
            "log_level": "warning",
        }
    ]


def test_the_log_names_a_hundred_refused_origins_and_no_more() -> None:
    origins = [f"https://{number}.example.com:8443" for number in range(200)]

    assert [line["origin"] for line in log_of_preflights(*origins)] == origins[:REPORTED_MAX]


@pytest.mark.parametrize(
    "origin",
    [b"\x9b[31m", b"https://ann@example.com", b"https://a b", b"https://" + b"x" * 300, b"https://", b""],
)
def test_the_log_does_not_contain_origins_that_no_browser_sends(origin: bytes) -> None:
    assert log_of_preflights(origin) == []


@pytest.mark.parametrize(
    "origin", ["null", "capacitor://localhost", "http://[::1]:3000", "http://127.0.0.1:3000"]
)
def test_the_log_names_every_kind_of_origin(origin: str) -> None:
    assert [line["origin"] for line in log_of_preflights(origin)] == [origin]


async def test_a_preflight_of_another_origin_is_in_the_log_of_the_service(
    wildcard_client: httpx.AsyncClient,
) -> None:
    origin = "https://not-listed.example.com"

    with capture_logs() as logged:
        for _ in range(2):
            await wildcard_client.options("/api/me/tasks", headers={"origin": origin, **PREFLIGHT})

    assert [line["origin"] for line in logged if line["event"] == "origin refused"] == [origin]
