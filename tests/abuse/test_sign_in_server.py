"""The reference sign-in server under abuse: nobody can stop it, lock others out, or guess without a limit."""

import asyncio
import contextlib
import json
import re
import secrets
import socket
import time
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
import pytest
from playwright.async_api import Browser

from dev.postgres import PostgresServer
from tests.abuse.sockets import count_answered
from tests.support.factories import someone
from tests.support.servers.better_auth import BetterAuth, better_auth

pytestmark = pytest.mark.server

LIMITED = {"AUTH_RATE_LIMIT": "on", "NODE_ENV": "production"}
BEHIND_A_PROXY = {**LIMITED, "TRUSTED_PROXIES": "127.0.0.0/8"}
PASSWORD = "a long enough password"
TOKEN_MAX = 1_000  # characters
MB = 1024 * 1024
TOO_MANY = 429  # the status of a refusal by a limit
BUSY = 503  # the status of a refusal by a full queue
PATIENCE = 30  # seconds
REFUSED_CONNECTION = "timeout exceeded when trying to connect"
_numbers = count(256)


def an_address() -> str:
    """Return an address from which no test has sent a request."""
    number = next(_numbers)
    return f"203.0.{number // 256}.{number % 256}"


@dataclass
class Client:
    """Somebody with a device and an address of their own."""

    http: httpx.AsyncClient

    async def sign_up(self, email: str = "", **more: str) -> httpx.Response:
        """Try to make an account."""
        person = {"name": "Ann", "email": email or f"{someone()}@example.com", "password": PASSWORD, **more}
        return await self.http.post("/api/auth/sign-up/email", json=person)

    async def make_account(self) -> str:
        """Make an account, and return its e-mail address."""
        answer = await self.sign_up()
        assert answer.status_code == 200, answer.text
        return str(answer.json()["user"]["email"])

    async def sign_in(self, email: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
        """Try to sign in."""
        credentials = {"email": email, "password": password}
        return await self.http.post("/api/auth/sign-in/email", json=credentials, headers=headers)

    async def guess(self, email: str, **headers: str) -> int:
        """Try a wrong password, and return the status."""
        return (await self.sign_in(email, secrets.token_hex(8), **headers)).status_code

    async def get(self, path: str, **headers: str) -> int:
        """Send a request, and return the status."""
        return (await self.http.get(f"/api/auth{path}", headers=headers)).status_code


@asynccontextmanager
async def somebody(auth: BetterAuth, *, address: str = "", local: str = "") -> AsyncIterator[Client]:
    """Make a client. `address` is sent as X-Forwarded-For, as a proxy does; `local` is the address of the socket."""
    headers = {"origin": auth.url} | ({"x-forwarded-for": address} if address else {})
    transport = httpx.AsyncHTTPTransport(local_address=local or None)
    url = auth.url.replace("localhost", "127.0.0.1")
    async with httpx.AsyncClient(transport=transport, base_url=url, headers=headers, timeout=60) as http:
        yield Client(http)


@pytest.fixture(scope="module")
async def auth(postgres: PostgresServer) -> AsyncIterator[BetterAuth]:
    """The server as in production: limits on, no proxy in front."""
    async with better_auth(postgres.new_database(), settings=LIMITED) as auth:
        yield auth


@pytest.fixture(scope="module")
async def proxied(postgres: PostgresServer) -> AsyncIterator[BetterAuth]:
    """The server as in production, which trusts a proxy on this machine."""
    async with better_auth(postgres.new_database(), settings=BEHIND_A_PROXY) as auth:
        yield auth


@pytest.fixture(scope="module")
async def stopped_clock(postgres: PostgresServer) -> AsyncIterator[BetterAuth]:
    """The server behind a proxy, with a clock that stands still: no limit's window of 10 s ends on a slow machine."""
    settings = {**BEHIND_A_PROXY, "NODE_OPTIONS": "--import=data:text/javascript,performance.now=()=>0"}
    async with better_auth(postgres.new_database(), settings=settings) as auth:
        yield auth


async def test_wrong_passwords_from_one_address_do_not_lock_another_out(proxied: BetterAuth) -> None:
    async with somebody(proxied, address=an_address()) as ann:
        email = await ann.make_account()

        async with somebody(proxied, address=an_address()) as attacker:
            guesses = [await attacker.guess(email) for _ in range(8)]
        async with somebody(proxied, address=an_address()) as anns_new_device:
            signed_in = await anns_new_device.sign_in(email)

        assert guesses == [401] * 3 + [TOO_MANY] * 5
        assert signed_in.status_code == (await ann.sign_in(email)).status_code == 200


@pytest.mark.parametrize("path", ["/token", "/jwks", "/get-session"])
async def test_anonymous_requests_of_one_address_do_not_use_up_the_limit_of_another(
    stopped_clock: BetterAuth, path: str
) -> None:
    async with somebody(stopped_clock, address=an_address()) as attacker:
        flood = [await attacker.get(path) for _ in range(105)]
    async with somebody(stopped_clock, address=an_address()) as bob:
        await bob.make_account()

        assert flood[-1] == TOO_MANY
        assert await bob.get(path) == 200


async def test_made_up_paths_of_one_address_share_one_limit(stopped_clock: BetterAuth) -> None:
    async with somebody(stopped_clock, address=an_address()) as attacker:
        flood = Counter([await attacker.get(f"/reset-password/{number}") for number in range(320)])

    assert flood[TOO_MANY] == 320 - 150  # an address may send 150 requests in 10 s to Better Auth


@pytest.mark.parametrize("path", ["/reset-password", "/delete-user", "/change-password"])
async def test_a_path_that_hashes_a_password_accepts_three_requests_of_an_address(
    proxied: BetterAuth, path: str
) -> None:
    async with somebody(proxied, address=an_address()) as attacker:
        answers = [
            (await attacker.http.post(f"/api/auth{path}", json={"password": "x", "token": "x"})).status_code
            for _ in range(4)
        ]

    assert TOO_MANY not in answers[:3]
    assert answers[3] == TOO_MANY


async def test_a_page_of_a_trusted_origin_can_read_how_long_to_wait(
    postgres: PostgresServer, browser: Browser
) -> None:
    async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/html\r\n\r\nA front end")
        writer.close()

    front_end_server = await asyncio.start_server(give, "127.0.0.1", 0)
    front_end = f"http://127.0.0.1:{front_end_server.sockets[0].getsockname()[1]}"
    settings = {**LIMITED, "TRUSTED_ORIGINS": front_end}
    async with (
        front_end_server,
        better_auth(postgres.new_database(), settings=settings) as auth,
        await browser.new_context() as context,
    ):
        page = await context.new_page()
        await page.goto(front_end)
        too_often = """async ([url, times, method]) => {
          const headers = {"content-type": "application/json"};
          const body = method === "POST" ? '{"email": "ann@example.com", "password": "not this one"}' : undefined;
          let answer;
          for (let sent = 0; sent < times && answer?.status !== 429; sent += 1)
            answer = await fetch(url, {method, headers, body, credentials: "include"});
          return [answer.status, answer.headers.get("retry-after"), answer.headers.get("x-retry-after")];
        }"""

        by_better_auth = await page.evaluate(too_often, [f"{auth.url}/api/auth/sign-in/email", 4, "POST"])
        by_the_server = await page.evaluate(too_often, [f"{auth.url}/api/auth/no-such-path", 160, "GET"])

    for status, wait, wait_of_better_auth in (by_better_auth, by_the_server):
        assert status == TOO_MANY
        assert 0 < int(wait) <= 10
        assert wait_of_better_auth == wait


async def test_a_made_up_forwarded_address_does_not_reset_the_limit(auth: BetterAuth) -> None:
    async with somebody(auth, local="127.0.0.2") as attacker:
        forged = [{"x-forwarded-for": f"192.0.2.{number}"} for number in range(10)]
        forged += [{"x-taskward-client-address": "192.0.2.99"}]

        guesses = [await attacker.guess("ann@example.com", **headers) for headers in forged]

        assert guesses[3:] == [TOO_MANY] * 8


async def test_behind_a_trusted_proxy_each_client_address_has_its_own_limit(
    stopped_clock: BetterAuth,
) -> None:
    async with somebody(stopped_clock) as proxy:

        async def flood(forwarded: str) -> list[int]:
            return [await proxy.get("/token", **{"x-forwarded-for": forwarded}) for _ in range(101)]

        assert (await flood("198.51.100.1, 192.0.2.1"))[-1] == TOO_MANY
        # The limit ignores the left address, because the client itself may have written it.
        assert (await flood("198.51.100.2, 192.0.2.1"))[0] == TOO_MANY
        assert await proxy.get("/token", **{"x-forwarded-for": "192.0.2.2"}) == 401
        assert (await flood("2001:db8:1:1::1"))[-1] == TOO_MANY
        assert (await flood("2001:db8:1:1:ffff::"))[0] == TOO_MANY  # the same /64 network
        assert await proxy.get("/token", **{"x-forwarded-for": "2001:db8:1:2::1"}) == 401


async def test_a_session_can_guess_its_password_ten_times_and_then_the_right_one_is_refused_too(
    proxied: BetterAuth,
) -> None:
    async with somebody(proxied, address=an_address()) as thief:
        await thief.make_account()

        async def change(path: str, old: str) -> int:
            body = {"password": old, "currentPassword": old, "newPassword": PASSWORD}
            return (
                await thief.http.post(path, json=body, headers={"x-forwarded-for": an_address()})
            ).status_code

        guesses = [await change("/api/auth/change-password", "wrong" * 3) for _ in range(11)]
        right = await change("/api/auth/change-password", PASSWORD)
        elsewhere = await change("/api/auth/verify-password", PASSWORD)

    assert guesses == [400] * 10 + [TOO_MANY]
    assert (right, elsewhere) == (TOO_MANY, 404)


async def test_guesses_from_many_addresses_are_limited_per_account_and_the_owner_still_signs_in(
    proxied: BetterAuth,
) -> None:
    async with somebody(proxied, address=an_address()) as owner, somebody(proxied) as crowd:
        email = await owner.make_account()
        await owner.http.post("/api/auth/sign-out")

        async def guesses(at: str) -> list[int]:
            return [await crowd.guess(at, **{"x-forwarded-for": an_address()}) for _ in range(24)]

        at_owner, at_nobody = await guesses(email), await guesses(f"{someone()}@example.com")
        right_but_unknown = await crowd.sign_in(email, **{"x-forwarded-for": an_address()})

        assert at_owner == at_nobody == [401] * 20 + [TOO_MANY] * 4  # whether the account exists or not
        assert right_but_unknown.status_code == TOO_MANY
        assert 0 < int(right_but_unknown.headers["retry-after"]) <= 3600
        elsewhere = {"x-forwarded-for": an_address()}  # a known device is known at any address
        assert (await owner.sign_in(email, **elsewhere)).status_code == 200


async def make_known_devices(auth: BetterAuth, times: int) -> list[tuple[str, str]]:
    """Make accounts, and return the e-mail address and the device's cookie of each."""
    devices = []
    for _ in range(times):
        async with somebody(auth, address=an_address()) as person:
            email = await person.make_account()
            cookies = [f"{each.name}={each.value}" for each in person.http.cookies.jar]
            devices.append((email, next(each for each in cookies if "known_device" in each)))
    return devices


@pytest.mark.parametrize("accounts", [0, 10], ids=["strangers", "known devices"])
async def test_given_120_clients_that_send_passwords_then_known_devices_sign_in_and_sessions_get_tokens(
    proxied: BetterAuth, accounts: int
) -> None:
    async with (
        somebody(proxied, address=an_address()) as signed_in,
        somebody(proxied, address=an_address()) as returning,
        somebody(proxied) as crowd,
    ):
        await signed_in.make_account()
        email = await returning.make_account()
        await returning.http.post("/api/auth/sign-out")
        devices = await make_known_devices(proxied, accounts)
        is_full, ended = asyncio.Event(), asyncio.Event()
        refused: list[httpx.Response] = []
        signed_in_again: Counter[str] = Counter()

        async def try_passwords(number: int) -> None:
            address = an_address()
            while not ended.is_set():
                if devices:
                    known, cookie = devices[number % accounts]
                    # A right password and a new address each time, so no limit of an account or address applies.
                    answer = await crowd.sign_in(known, cookie=cookie, **{"x-forwarded-for": an_address()})
                    signed_in_again[known] += answer.status_code == 200
                else:
                    wrong = f"{someone()}@example.com"
                    answer = await crowd.sign_in(wrong, "wrong", **{"x-forwarded-for": address})
                if answer.status_code == BUSY:
                    refused.append(answer)
                    is_full.set()
                await asyncio.sleep(0.5)

        floods = [asyncio.create_task(try_passwords(number)) for number in range(120)]
        try:
            await asyncio.wait_for(is_full.wait(), 60)
            back = [(await returning.sign_in(email)).status_code for _ in range(3)]
            tokens = [await signed_in.get("/token") for _ in range(5)]
        finally:
            ended.set()
            await asyncio.gather(*floods)

    assert back == [200] * 3  # although the crowd's queue is full
    assert tokens == [200] * 5
    assert 0 < int(refused[0].headers["retry-after"]) < 60
    assert len(signed_in_again) == accounts
    assert all(signed_in_again.values())


async def test_an_account_that_uses_its_sessions_from_many_addresses_gets_60_answers_and_others_get_tokens(
    stopped_clock: BetterAuth,
) -> None:
    async with (
        somebody(stopped_clock, address=an_address()) as ann,
        somebody(stopped_clock, address=an_address()) as anns_phone,
        somebody(stopped_clock, address=an_address()) as bob,
    ):
        await anns_phone.sign_in(await ann.make_account())
        await bob.make_account()

        async def session(device: Client) -> httpx.Response:
            return await device.http.get("/api/auth/get-session", headers={"x-forwarded-for": an_address()})

        flood = await asyncio.gather(*(session(device) for _ in range(40) for device in (ann, anns_phone)))
        token = await bob.get("/token")

    refused = [answer for answer in flood if answer.status_code == TOO_MANY]
    assert (len(flood) - len(refused), len(refused), token) == (60, 20, 200)
    assert all(answer.json()["user"]["name"] == "Ann" for answer in flood if answer.status_code == 200)
    assert 0 < int(refused[0].headers["retry-after"]) <= 10


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
async def test_a_large_body_is_refused_before_it_is_in_memory(
    proxied: BetterAuth,
    chunked: bool,  # noqa: FBT001 - a parameter
) -> None:
    server = psutil.Process(proxied.pid)
    before = peak = server.memory_info().rss

    async def body() -> AsyncIterator[bytes]:
        nonlocal peak
        for _ in range(150):
            yield b"a" * MB
            peak = max(peak, server.memory_info().rss)

    headers = {"content-type": "application/json"} | ({} if chunked else {"content-length": str(150 * MB)})
    async with somebody(proxied, address=an_address()) as attacker:
        with contextlib.suppress(httpx.TransportError):  # the server may close before all is sent
            large = await attacker.http.post("/api/auth/sign-in/email", content=body(), headers=headers)
            assert large.status_code == 413
        json_type = {"content-type": "application/json"}
        small = await attacker.http.post("/api/auth/sign-in/email", content=b" " * 70_000, headers=json_type)

    assert (peak - before) / MB < 100
    assert small.status_code == 413


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "a" * 7000),
        ("image", "data:image/png;base64," + "A" * 6000),
        ("image", "https://example.com/" + "a" * 6000),
        ("image", "javascript:alert(1)"),
    ],
)
async def test_a_long_name_or_an_invalid_picture_url_is_refused_and_no_stored_value_makes_a_token_long(
    proxied: BetterAuth, postgres: PostgresServer, field: str, value: str
) -> None:
    async with somebody(proxied, address=an_address()) as ann:
        email = await ann.make_account()
        refused = await ann.http.post("/api/auth/update-user", json={field: value})
        kept = await ann.http.post("/api/auth/update-user", json={"name": "n" * 100})
        refused_at_sign_up = await ann.sign_up(**{field: value})
        database = proxied.database_url.rpartition("/")[2]
        postgres.query(f"""UPDATE "user" SET {field} = '{value}' WHERE email = '{email}'""", database)
        token = (await ann.http.get("/api/auth/token")).json()["token"]

    assert (refused.status_code, refused_at_sign_up.status_code, kept.status_code) == (400, 400, 200)
    assert len(token) < TOKEN_MAX
    payload = token.split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert set(claims) == {"sub", "iat", "exp", "iss", "aud"}


async def test_a_long_email_and_names_with_control_characters_are_refused_and_a_persian_name_is_accepted(
    proxied: BetterAuth,
) -> None:
    async with somebody(proxied, address=an_address()) as ann:
        long = await ann.sign_up("a" * 30_000 + "@example.com")
        nul = await ann.sign_up(name="a\0")
        await ann.make_account()
        names = [f"a{sign}" for sign in "\r\n\x1b\x85\u202e\u2066"] + ["نمی\u200cخواهم"]
        changed = [
            (await ann.http.post("/api/auth/update-user", json={"name": name})).status_code for name in names
        ]

    assert (long.status_code, nul.status_code) == (400, 400)
    assert changed == [400] * 6 + [200]


async def test_an_unsigned_session_token_is_refused_and_pages_do_not_get_the_signed_one(
    proxied: BetterAuth,
) -> None:
    async with (
        somebody(proxied, address=an_address()) as page,
        somebody(proxied, address=an_address()) as script,
    ):
        email = await page.make_account()
        at_page = await page.sign_in(email)
        listed = (await page.http.get("/api/auth/list-sessions")).json()
        del script.http.headers["origin"]
        signed = (await script.sign_in(email)).headers["set-auth-token"]
        script.http.cookies.clear()

        assert at_page.status_code == 200
        assert not at_page.headers.keys() & {"set-auth-token", "access-control-expose-headers"}
        assert listed
        unsigned = [await script.get("/token", authorization=f"Bearer {each['token']}") for each in listed]
        assert unsigned == [401] * len(listed)
        assert await script.get("/token", authorization=f"Bearer {signed}") == 200


async def test_one_person_has_at_most_50_sessions_with_256_characters_of_a_user_agent(
    proxied: BetterAuth, postgres: PostgresServer
) -> None:
    async with somebody(proxied, address=an_address()) as ann:
        email = await ann.make_account()
        database = proxied.database_url.rpartition("/")[2]
        postgres.query(
            f"""INSERT INTO session (id, token, "userId", "expiresAt", "createdAt", "updatedAt", "userAgent")
            SELECT n, n, id, now() + '1 day', now() - '1 hour'::interval * n, now(), ''
            FROM "user", generate_series(1, 80) n WHERE email = '{email}'""",
            database,
        )

        await ann.sign_in(email, **{"user-agent": "a" * 10_000})
        kept = (await ann.http.get("/api/auth/list-sessions")).json()

    assert len(kept) == 50
    assert max(len(session["userAgent"]) for session in kept) == 256


@dataclass
class BlockableProxy:
    """A TCP proxy before the database. While it is blocked, it accepts new connections and forwards nothing."""

    url: str
    forwards: asyncio.Event = field(default_factory=asyncio.Event)  # cleared while it is blocked
    # Released once for each connection that it accepts while it is blocked.
    waiting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    writers: set[asyncio.StreamWriter] = field(default_factory=set)  # both ends of forwarded connections

    def block(self) -> None:
        """End all connections, and forward no new one."""
        self.forwards.clear()
        for writer in self.writers:
            writer.close()


@asynccontextmanager
async def blockable_proxy(url: str) -> AsyncIterator[BlockableProxy]:
    """Listen, and connect each client to the server of this URL."""
    there = urlsplit(url)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.writers.add(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
        proxy.writers.discard(writer)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not proxy.forwards.is_set():
            proxy.waiting.release()
        await proxy.forwards.wait()
        far_reader, far_writer = await asyncio.open_connection(there.hostname, there.port)
        await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        proxy = BlockableProxy(url.replace(f"{there.hostname}:{there.port}", f"127.0.0.1:{port}"))
        proxy.forwards.set()
        yield proxy
        proxy.block()


async def test_given_a_database_that_does_not_respond_then_requests_fail_in_time_and_succeed_later(
    postgres: PostgresServer,
) -> None:
    """Five statements wait in the database, the other requests for a connection, and each wait has an end.

    Both waits may take equally long. So the other requests begin to wait before the five statements do: the proxy
    is blocked until then.
    """
    blocked = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'relation'"
    )
    database = postgres.new_database()
    async with (
        blockable_proxy(database) as proxy,
        better_auth(proxy.url, settings=BEHIND_A_PROXY) as auth,
        AsyncExitStack() as stack,
    ):
        people = [await stack.enter_async_context(somebody(auth, address=an_address())) for _ in range(6)]
        for person in people:
            await person.make_account()
        ann = people[0]
        locking, looking = [await asyncpg.connect(database) for _ in range(2)]
        most, before = 0, len(auth.printed)
        try:
            async with locking.transaction():
                await locking.execute("LOCK TABLE session")
                for _ in range(3):  # again if a busy machine kept the proxy blocked for five seconds
                    proxy.block()
                    proxy.waiting = asyncio.Semaphore(0)
                    stuck = asyncio.gather(*(person.get("/get-session") for person in people * 2))
                    async with asyncio.timeout(PATIENCE):
                        for _ in range(5):
                            await proxy.waiting.acquire()
                    for _ in range(20):  # when the last of these is answered, the server has read the 12
                        await ann.get("/no-such-path")
                    proxy.forwards.set()
                    while not stuck.done():
                        most = max(most, await looking.fetchval(blocked))
                        await asyncio.sleep(0.1)
                    assert await stuck == [500] * 12
                    if any(REFUSED_CONNECTION in line for line in auth.printed[before:]):
                        break
        finally:
            await locking.close()
            await looking.close()

        assert most == 5
        await wait_for_line(auth, REFUSED_CONNECTION, before)
        assert await ann.get("/get-session") == 200


@contextlib.contextmanager
def held(auth: BetterAuth, times: int, address: str, sends: bytes) -> Iterator[list[socket.socket]]:
    """Open connections from one address, send the bytes over each, and hold them until the block ends."""
    port = int(auth.url.rpartition(":")[2])
    with ExitStack() as stack:
        connections = []
        for _ in range(times):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0))
            )
            with contextlib.suppress(OSError):  # the server has already closed it
                connection.sendall(sends)
            connections.append(connection)
        yield connections


def receive_until_closed(connection: socket.socket) -> bytes:
    """Return what the server sends until it closes the connection."""
    connection.settimeout(PATIENCE)
    received = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1000):
            received += part
    return received


async def test_slow_connections_of_one_address_are_closed_and_other_addresses_get_responses(
    auth: BetterAuth,
) -> None:
    half_a_head = b"POST /api/auth/sign-in/email HTTP/1.1\r\nHost: localhost\r\n"
    half_a_body = half_a_head + b"Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n{"
    with (
        held(auth, 50, "127.0.0.3", half_a_body) as bodies,
        held(auth, 150, "127.0.0.4", half_a_head) as heads,
        held(auth, 50, "127.0.0.5", b"") as silent,
    ):
        async with somebody(auth, local="127.0.0.6") as bob:
            await bob.make_account()
        of_heads, of_silent, of_bodies = (
            [receive_until_closed(each)[:12] for each in connections]
            for connections in (heads, silent, bodies)
        )

    too_late = b"HTTP/1.1 408"
    assert of_heads == [too_late] * 100 + [b""] * 50  # the limit of an address is 100
    assert of_silent == [too_late] * 50
    assert set(of_bodies) <= {too_late, b"HTTP/1.1 429"}


@pytest.mark.parametrize("path", ["sign-out", "sign-in/email", "sign-up/email", "update-user"])
async def test_bodies_that_do_not_arrive_delay_no_request_of_another_address(
    auth: BetterAuth, path: str
) -> None:
    half = (
        f"POST /api/auth/{path} HTTP/1.1\r\nHost: localhost\r\nOrigin: {auth.url}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    ).encode()
    async with somebody(auth, local=f"127.0.1.{len(path)}") as ann:
        await ann.make_account()
        with held(auth, 10, "127.0.0.8", half), held(auth, 10, "127.0.0.9", half):
            await asyncio.sleep(0.3)  # the server reads the heads
            began = time.monotonic()
            status = await ann.get("/token")
            waited = time.monotonic() - began

    assert status == 200
    assert waited < 5  # seconds; the server waits 10 for a body


async def test_given_2000_silent_connections_then_new_ones_replace_the_oldest_and_get_responses(
    proxied: BetterAuth,
) -> None:
    with held(proxied, 2_050, "127.0.0.7", b"") as connections:
        # Within 9 s, because the timeout of 10 s closes the other connections.
        closed = count_answered(connections, within=9, enough=50)
        oldest = count_answered(connections[:50], within=1)
        async with somebody(proxied, address=an_address()) as bob:
            await bob.make_account()

    assert (closed, oldest) == (50, 50)


async def test_responses_of_the_sign_in_server_have_no_store_and_nosniff(proxied: BetterAuth) -> None:
    for path in ("get-session", "token", "jwks", "ok", "nowhere"):
        response = await proxied.client.get(f"/api/auth/{path}")
        assert response.headers["cache-control"] == "no-store", path
        assert response.headers["x-content-type-options"] == "nosniff", path


async def wait_for_line(auth: BetterAuth, text: str, after: int) -> str:
    """Wait for a printed line that contains the text, after the first `after` lines, and return the line."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for line in auth.printed[after:]:
                if text in line:
                    return line
            await asyncio.sleep(0.1)


async def test_refused_requests_write_few_short_log_lines_and_the_client_cannot_add_lines(
    proxied: BetterAuth,
) -> None:
    before = len(proxied.printed)
    forged = "/\\\nmail | To: ann@example.com\n\x1b[2K" + "x" * 60_000
    async with somebody(proxied, address=an_address()) as attacker:
        refused = await asyncio.gather(
            *(attacker.http.post("/api/auth/update-user", json={"callbackURL": forged}) for _ in range(60))
        )
    await wait_for_line(proxied, "lines left out", before)
    lines = proxied.printed[before:]

    assert [each.status_code for each in refused] == [403] * 60
    assert any("ERROR Invalid callbackURL: /\\\\u000amail | To: ann@example.com" in line for line in lines)
    assert not any(line.startswith("mail | ") or "\x1b[2K" in line for line in lines)
    assert max(map(len, lines)) < 500
    assert len(lines) < 60


async def send_until_refused(auth: BetterAuth, path: str, headers: str) -> Counter[bytes]:
    """Send up to 100 requests on one connection until the server closes it, and count the status lines."""
    port = int(auth.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heads = []
    for _ in range(100):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        heads.append((await reader.readuntil(b"\r\n\r\n")).lower())
        length = re.search(rb"content-length: (\d+)", heads[-1])
        assert length is not None
        await reader.readexactly(int(length[1]))
        if b"connection: close" in heads[-1]:
            assert re.search(rb"retry-after: \d", heads[-1])
            assert await reader.read() == b""
            break
    writer.close()
    return Counter(head.split(b"\r\n")[0] for head in heads)


async def test_the_501st_request_of_an_address_in_ten_seconds_is_refused_before_any_work(
    stopped_clock: BetterAuth,
) -> None:
    attacker = f"X-Forwarded-For: {an_address()}\r\n"
    page = await asyncio.gather(*(send_until_refused(stopped_clock, "/icon.svg", attacker) for _ in range(8)))
    session = await send_until_refused(stopped_clock, "/api/auth/get-session", attacker)
    async with somebody(stopped_clock, address=an_address()) as bob:
        await bob.make_account()
        seen = await bob.get("/get-session")

    refused = b"http/1.1 429 too many requests"
    assert sum(page, Counter()) == {b"http/1.1 200 ok": 500, refused: 8}
    assert session == {refused: 1}
    assert seen == 200


async def test_output_of_libraries_is_logged_like_all_other_lines(
    proxied: BetterAuth, postgres: PostgresServer
) -> None:
    before = len(proxied.printed)
    assert (await proxied.client.get("/api/auth/jwks")).status_code == 200
    database = proxied.database_url.rpartition("/")[2]
    postgres.query(
        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()""",
        database,
    )

    assert re.match(r"20\S+Z ERROR database: ", await wait_for_line(proxied, "database: ", before))
    assert (await proxied.client.get("/api/auth/jwks")).status_code == 200


def shape(value: object) -> object:
    """Return the names in their order, the length of each text, and other values as they are."""
    if isinstance(value, dict):
        return [(name, shape(each)) for name, each in value.items()]
    return len(value) if isinstance(value, str) else value


async def test_given_email_verification_then_sign_up_does_not_reveal_which_addresses_have_accounts(
    postgres: PostgresServer,
) -> None:
    settings = {"REQUIRE_EMAIL_VERIFICATION": "1"}
    async with better_auth(postgres.new_database(), settings=settings) as auth, somebody(auth) as ann:
        email = f"{someone()}@example.com"
        answers, seconds = [], []
        for _ in range(2):
            began = time.monotonic()
            answers.append(await ann.sign_up(email))
            seconds.append(time.monotonic() - began)
        unverified = await ann.sign_in(email)
        await ann.http.get((await auth.mailed_link(email)).removeprefix(auth.url))
        verified = await ann.sign_in(email)

    first, again = answers
    assert (first.status_code, again.status_code) == (200, 200)
    assert shape(first.json()) == shape(again.json())
    assert first.headers.keys() == again.headers.keys()
    assert min(seconds) >= 0.5  # a sign-up gets its response after a multiple of 0.5 s
    mailed = "mail | Subject: You have an account already"
    assert await wait_for_line(auth, mailed, 0) == mailed
    assert (unverified.status_code, verified.status_code) == (403, 200)
