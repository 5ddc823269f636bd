"""`CORS_ORIGINS=https://*.example.com`: pages of any one label may send requests, as previews of a front end do, and no others."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.composition import compose
from app.settings import Settings
from tests.conftest import environment_for
from tests.support.in_process import client_of

pytestmark = pytest.mark.server

PREFLIGHT = {"access-control-request-method": "POST"}


@pytest.fixture(scope="module")
async def previews(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A service that receives requests from previews of a front end."""
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
async def test_a_page_of_one_label_may_ask_and_is_named(previews: httpx.AsyncClient, origin: str) -> None:
    response = await previews.get("/health", headers={"origin": origin})
    preflight = await previews.options("/api/me/tasks", headers={"origin": origin, **PREFLIGHT})

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
async def test_a_page_of_any_other_place_may_not(previews: httpx.AsyncClient, origin: str) -> None:
    response = await previews.get("/health", headers={"origin": origin})
    preflight = await previews.options("/api/me/tasks", headers={"origin": origin, **PREFLIGHT})

    for answer in (response, preflight):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "Origin" in answer.headers["vary"]
