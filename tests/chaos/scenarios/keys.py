"""The issuer of tokens is down or slow, or changes its key; a flood of tokens names unknown keys."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx

from dev.postgres import free_port
from tests.chaos.answers import Answer
from tests.chaos.flood import has_unknown_keys
from tests.chaos.harness import PEOPLE, Harness, new_people, port_of
from tests.chaos.issuer import sign, sign_all
from tests.chaos.judge import BUSY_SECONDS, REQUESTS_MIN, Allowed
from tests.chaos.scenario import scenario
from tests.support.servers.better_auth import better_auth
from tests.support.servers.jwks import JwksServer, jwks_server
from tests.support.servers.service import Service
from tests.support.signing import SigningKey

UNNOTICED = Allowed(outage=BUSY_SECONDS, slowest=2.0, share_during=1.0)
RATE = 1000  # forged tokens a second


@scenario("auth server down at the start", Allowed(outage=6.0, slowest=3.0, share_before=None, back=2.0))
def auth_down_at_start(harness: Harness) -> None:
    key, port = SigningKey("one"), free_port()
    tokens, settings = sign_all(key, new_people(PEOPLE)), {"JWKS_URL": f"http://127.0.0.1:{port}/jwks"}
    with ExitStack() as stack:
        service = stack.enter_context(harness.serving(settings=settings))
        load = stack.enter_context(harness.under_load(service, tokens=tokens, after=3.2))
        with harness.fault():
            time.sleep(1.5)
            harness.promise({each.status for each in load.answers} == {"503"}, "503 until there are keys")
            ready = httpx.get(f"{service.url}/health/ready").status_code
            harness.promise(ready == 503, f"/health/ready says {ready} without keys")
            harness.until_audited.enter_context(
                harness.background.entered(jwks_server(key.public, port=port))
            )


@scenario("auth server hangs", UNNOTICED)
def auth_hanging(harness: Harness) -> None:
    unknown = sign(SigningKey("two"), "x")
    with loaded_service(harness, SigningKey("one")) as (key_server, service), harness.fault():
        key_server.behaviour = "hang"
        status, took = timed_request(service, unknown)
        harness.promise((status, took < 2.5) == (503, True), f"an unknown key: {status} after {took:.2f} s")
        time.sleep(1.0)


@scenario("auth server rotates its key", UNNOTICED)
def auth_rotating(harness: Harness) -> None:
    old, new = SigningKey("old"), SigningKey("new")
    with loaded_service(harness, old) as (key_server, service), harness.fault():
        key_server.keys = [new.public, old.public]
        status, took = timed_request(service, sign(new, "x"))
        harness.promise((status, took < 1.0) == (200, True), f"the new key: {status} after {took:.2f} s")
        time.sleep(2.0)  # the people continue with tokens of the old key


@scenario("Better Auth stopped and started", UNNOTICED)
def better_auth_restarted(harness: Harness) -> None:
    database, port, run = harness.postgres.new_database(), free_port(), harness.background.run
    with ExitStack() as first_server:
        auth = first_server.enter_context(harness.background.entered(better_auth(database, port=port)))
        signed_in = [run(auth.sign_up(f"p{number}")) for number in range(PEOPLE)]
        tokens = {person.user_id: run(person.token()) for person in signed_in}
        settings = {"BETTER_AUTH_URL": auth.url, "JWT_ISSUER": "", "JWT_AUDIENCE": ""}
        service = harness.until_audited.enter_context(harness.serving(settings=settings))
        with harness.under_load(service, tokens=tokens), harness.fault():
            first_server.close()
            time.sleep(2.0)
            with harness.background.entered(better_auth(database, port=port, secret=auth.secret)) as again:
                signed_in[0].client = again.client
                status, _ = timed_request(service, run(signed_in[0].token()))
                harness.promise(status == 200, f"a token made after the restart: {status}")


@scenario("1,000 unknown keys a second", UNNOTICED)
def unknown_keys(harness: Harness) -> None:
    seconds = 10 if harness.long else 4
    with loaded_service(harness, SigningKey("one")) as (key_server, service), harness.fault():
        time.sleep(3.0)
        quiet = p99(harness.load.answers)
        start, requests_before = time.monotonic(), key_server.requests
        statuses = run_flood(service, seconds * 2)  # in half of these seconds the keys are unknown
        fetched = key_server.requests - requests_before
        during = [each for each in harness.load.answers if each.sent_at > start]
    rate = sum(statuses.values()) / seconds
    harness.promise(rate > RATE * 0.9, f"{rate:.0f} unknown keys a second were answered {statuses}")
    harness.promise(fetched <= 8, f"{fetched} fetches (limit in the first minute: 8)")
    # Sending the flood takes CPU too. In every other second the forged tokens have a wrong issuer, so the service needs
    # no key to refuse them: those seconds show the cost of the sending alone.
    control = p99([each for each in during if not has_unknown_keys(each.sent_at)])
    unknown = p99([each for each in during if has_unknown_keys(each.sent_at)])
    harness.promise(
        unknown <= 1.5 * control,
        f"p99 of good tokens: {unknown * 1000:.1f} ms; {control * 1000:.1f} ms in seconds with as many"
        f" requests that need no key; {quiet * 1000:.1f} ms without a flood",
    )


@contextmanager
def loaded_service(harness: Harness, key: SigningKey) -> Iterator[tuple[JwksServer, Service]]:
    """Start a key server and a service that trusts it. People send requests with tokens that the key signed."""
    tokens = sign_all(key, new_people(PEOPLE))
    with (
        harness.background.entered(jwks_server(key.public)) as server,
        harness.serving(settings={"JWKS_URL": server.url}) as service,
        harness.under_load(service, tokens=tokens),
    ):
        yield server, service


def run_flood(service: Service, seconds: int) -> dict[str, int]:
    """Run the flood; count the statuses of its tokens with unknown keys."""
    command = [sys.executable, "-m", "tests.chaos.flood", str(port_of(service)), str(RATE), str(seconds)]
    statuses: dict[str, int] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    return statuses


def p99(answers: list[Answer]) -> float:
    """Return the median of the 99th percentiles of each second: a busy machine spoils only some seconds."""
    seconds: dict[int, list[float]] = {}
    for each in answers:
        seconds.setdefault(int(each.sent_at), []).append(each.took)
    tails = [statistics.quantiles(took, n=100)[-1] for took in seconds.values() if len(took) > REQUESTS_MIN]
    return statistics.median(tails)


def timed_request(service: Service, token: str) -> tuple[int, float]:
    """Send one request; return the status and the seconds."""
    start = time.monotonic()
    answer = httpx.get(
        f"{service.url}/api/me/tasks", headers={"authorization": f"Bearer {token}"}, timeout=10
    )
    return answer.status_code, time.monotonic() - start
