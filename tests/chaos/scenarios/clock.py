"""The service's clock is wrong; the clock of the issuer of tokens is right."""

import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from app.infra.auth.jwt_claims import LEEWAY
from tests.chaos.harness import PEOPLE, Harness, new_people
from tests.chaos.issuer import sign
from tests.chaos.judge import BUSY_SECONDS, Allowed
from tests.chaos.scenario import scenario
from tests.chaos.small_disk import NotHere
from tests.support.servers.jwks import jwks_server
from tests.support.signing import SigningKey

AGE: Final = 600  # seconds: more than any of these clocks is wrong, so no token seems to be from the future
ALLOWED: Final = Allowed(outage=BUSY_SECONDS, slowest=2.0, share_during=1.0)


def clock_off(harness: Harness, seconds: int) -> None:
    """Start a service whose clock is wrong by `seconds`. Tokens that are valid by this clock must get 200, others 401."""
    key = SigningKey("one")
    tokens = {owner: sign(key, owner, age=AGE) for owner in new_people(PEOPLE)}
    clock = {"LD_PRELOAD": library(), "FAKETIME": f"{seconds:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with (
        harness.background.entered(jwks_server(key.public)) as server,
        harness.serving(settings={"JWKS_URL": server.url, **clock}) as service,
        harness.under_load(service, tokens=tokens, after=1.0),
        harness.fault(),
        httpx.Client(base_url=service.url) as client,
    ):
        off = creation_time(client, sign(key, "x", age=AGE)) - time.time()
        harness.promise(abs(off - seconds) < 5, f"its clock is {off:+.0f} s off")
        for age, left in ((0, 900), (AGE, 900), (AGE, 5), (AGE, -5)):
            # By the service's clock, the token is `age + seconds` s old and has `left - seconds` s left.
            expected = 200 if age + seconds >= -LEEWAY and left - seconds > -LEEWAY else 401
            token = sign(key, "x", age=age, lifetime=age + left)
            status = client.get("/api/me/tasks", headers=bearer(token)).status_code
            harness.promise(status == expected, f"a token {age} s old with {left} s left: {status}")


for off in (40, -40, 120, -120):
    where = "ahead" if off > 0 else "behind"
    scenario(f"clock {abs(off)} s {where}", ALLOWED, name=f"clock-{where}-{abs(off)}")(
        partial(clock_off, seconds=off)
    )


def library() -> str:
    """Return the path of libfaketime."""
    for place in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"):
        return str(place)
    raise NotHere("libfaketime is not installed (Debian: apt-get install libfaketime)")


def creation_time(client: httpx.Client, token: str) -> float:
    """Create a task; return its time of creation by the service's clock, in seconds since 1970."""
    task = client.post("/api/me/tasks", json={"title": "when"}, headers=bearer(token)).json()
    return datetime.fromisoformat(task["created_at"]).timestamp()


def bearer(token: str) -> dict[str, str]:
    """Return the authorization header."""
    return {"authorization": f"Bearer {token}"}
