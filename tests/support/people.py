"""People who send requests: each has a token that the service accepts."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from app.domain.identity import UserId
from app.infra.auth.jwt_verifier import issue_token
from app.settings.auth import AuthSettings
from tests.support.factories import someone

ORIGIN = "http://localhost:3000"
SECRET = b"only-for-tests-" + b"x" * 32
TRUST = AuthSettings(issuer=ORIGIN, audience=ORIGIN, secret=SECRET)


@dataclass
class Person:
    """Sends requests for their own tasks, with their own token."""

    client: httpx.AsyncClient
    user_id: UserId

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {issue_token(TRUST, user_id=self.user_id, lifetime=900)}"}

    async def ask(self, method: str, path: str = "", **arguments: Any) -> httpx.Response:
        """Send a request to a path below the person's list. A path that begins with `/` is used unchanged."""
        url = (
            path
            if path.startswith("/")
            else f"/api/{quote(self.user_id, safe='')}/tasks{path and '/' + path}"
        )
        headers = {**self.headers, **arguments.pop("headers", {})}
        return await self.client.request(method, url, headers=headers, **arguments)

    async def create(self, title: str = "water the plants", **members: Any) -> dict[str, Any]:
        """Create a task and return it."""
        response = await self.ask("POST", json={"title": title, **members})
        assert response.status_code == 201, response.text
        task: dict[str, Any] = response.json()
        return task

    async def titles(self) -> list[str]:
        """Return the titles of the person's list."""
        return [task["title"] for task in (await self.ask("GET")).json()]


@dataclass
class People:
    """Makes people who may use this service."""

    client: httpx.AsyncClient

    def one(self, name: str = "ann") -> Person:
        """Make a person."""
        return Person(self.client, someone(name))
