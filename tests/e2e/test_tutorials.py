"""The settings and tokens of usual tutorials, and those that docs/front-ends.md describes."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import jwt
import pytest

from tests.support.people import ORIGIN, SECRET
from tests.support.servers.service import Service, app

pytestmark = pytest.mark.server

PAGE = (Path(__file__).parent.parent.parent / "docs" / "front-ends.md").read_text()


def status(service: Service, token: str) -> int:
    headers = {"authorization": f"Bearer {token}"}
    return httpx.get(f"{service.url}/api/me/tasks", headers=headers).status_code


def test_the_environment_of_a_tutorial_is_refused_with_what_to_set(database_url: str, tmp_path: Path) -> None:
    env = {"DATABASE_URL": database_url, "BETTER_AUTH_SECRET": SECRET.decode()}

    done = app("serve", env=env, cwd=tmp_path)

    assert done.returncode == 1
    for name in ("JWT_ISSUER", "JWT_AUDIENCE"):
        assert f"{name} is not set: set BETTER_AUTH_URL to the address of Better Auth" in done.stderr
        assert f"`{name} is not set`" in PAGE


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [
        ({"iss", "aud"}, "the token has another issuer"),
        ({"iss"}, "the token has another issuer"),
        ({"aud"}, "the token is for another audience"),
        ({"sub"}, "the token has no acceptable subject"),
    ],
)
def test_a_token_without_a_claim_that_front_ends_md_names_is_refused(
    service: Service, left_out: set[str], reason: str
) -> None:
    now = int(time.time())
    claims = {"sub": "ann", "iss": ORIGIN, "aud": ORIGIN, "iat": now, "exp": now + 900}
    less = {name: value for name, value in claims.items() if name not in left_out}
    before = service.log.read_text().count(reason)

    assert status(service, jwt.encode(claims, SECRET, algorithm="HS256")) == 200
    assert status(service, jwt.encode(less, SECRET, algorithm="HS256")) == 401
    assert service.log.read_text().count(reason) == before + 1


def test_the_token_that_the_code_in_front_ends_md_makes_is_accepted(service: Service) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    env = {"BETTER_AUTH_URL": ORIGIN, "BETTER_AUTH_SECRET": SECRET.decode(), "USER_ID": "ann"}

    made = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        check=True,
    )

    assert status(service, made.stdout.strip()) == 200
