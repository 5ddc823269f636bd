"""The route from a server to PostgreSQL: directly, through a pooler, over a distance."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from benchmarks.distance import delaying_proxy
from benchmarks.servers import POOL
from benchmarks.settings import BenchSettings
from dev.steps import CannotRun
from tests.support import certificates
from tests.support.servers.pgbouncer import FORGETS_STATEMENTS, KEEPS_STATEMENTS, newer, pgbouncer

POOLER_SETTINGS: Final = {"1": KEEPS_STATEMENTS, "forgets": FORGETS_STATEMENTS}
TLS: Final = "sslmode=require"  # the drivers of all servers understand it


@contextmanager
def database_route(url: str, chosen: BenchSettings, *, ours: bool) -> Iterator[str]:
    """Yield the address by which a server reaches the database.

    Raises:
        CannotRun: the pooler is not installed.
    """
    with ExitStack() as stack:
        if chosen.pooler:
            url = stack.enter_context(_pooler(url, chosen.pooler, ours=ours))
        if chosen.distance:
            port = urlsplit(url).port or 0
            proxy_port = stack.enter_context(delaying_proxy(port, chosen.distance / 1000))
            url = url.replace(f":{port}/", f":{proxy_port}/")
        yield url


@contextmanager
def _pooler(url: str, statements: str, *, ours: bool) -> Iterator[str]:
    """Start PgBouncer 1.24 beside PostgreSQL, with TLS for its clients."""
    try:
        program = newer()
    except pytest.skip.Exception as error:
        raise CannotRun(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="taskward-") as name:
        folder = Path(name)
        authority = certificates.make(folder, "127.0.0.1")
        settings = {
            **POOLER_SETTINGS[statements],
            "client_tls_sslmode": "require",
            "client_tls_cert_file": str(folder / "server.crt"),
            "client_tls_key_file": str(folder / "server.key"),
        }
        connections = int(POOL)
        with pgbouncer(url, folder, server_connections=connections, program=program, settings=settings) as at:
            yield f"{at}?{TLS}" + (f"&sslrootcert={authority}&pgbouncer=true" if ours else "")
