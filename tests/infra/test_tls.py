"""With Neon's parameters in the URL, the certificate and the name of the server are verified."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from app.infra.postgres.connect import connect, driver_arguments
from app.settings.database_address import DatabaseAddress
from dev.children import unprivileged_user
from dev.cluster import CannotStart
from dev.postgres import PostgresServer
from tests.support import certificates

pytestmark = pytest.mark.server
NEON_PARAMETERS = "sslmode=require&channel_binding=require"


@contextmanager
def tls_server(folder: Path, *names: str) -> Iterator[tuple[PostgresServer, Path]]:
    """Run a server with a certificate for these names. Yield the server, and the file of its certificate authority."""
    server = PostgresServer(folder, durable=False)
    keys = server.data.parent / "tls"
    keys.mkdir(exist_ok=True)
    authority = certificates.make(keys, *names)
    user = unprivileged_user()
    for file in (keys, *keys.iterdir()):
        if user is not None:
            os.chown(file, user.pw_uid, user.pw_gid)
        file.chmod(0o700 if file.is_dir() else 0o600)
    server._settings |= {
        "ssl": "on",
        "ssl_cert_file": str(keys / "server.crt"),
        "ssl_key_file": str(keys / "server.key"),
    }
    try:
        server.start()
        yield server, authority
    except CannotStart as error:
        if "not supported by this build" not in str(error):
            raise
        pytest.skip("this PostgreSQL has no TLS")
    finally:
        server.remove()


def address_of(server: PostgresServer, more: str) -> DatabaseAddress:
    return DatabaseAddress.parse(f"{server.url}?{more}")


async def test_a_certificate_of_a_trusted_authority_is_accepted_and_an_untrusted_one_is_refused(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with tls_server(tmp_path_factory.mktemp("right"), "127.0.0.1") as (server, authority):
        connection = await connect(address_of(server, f"{NEON_PARAMETERS}&sslrootcert={authority}"))
        assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        await connection.close()

        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(address_of(server, NEON_PARAMETERS))


async def test_a_certificate_of_another_name_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    with tls_server(tmp_path_factory.mktemp("wrong"), "another.example.com") as (server, authority):
        address = address_of(server, f"{NEON_PARAMETERS}&sslrootcert={authority}")

        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(address)


async def test_a_server_without_tls_is_refused(postgres: PostgresServer) -> None:
    with pytest.raises(ConnectionError):
        await connect(address_of(postgres, "sslmode=require"))


async def test_a_wrong_password_raises_the_error_of_postgresql(postgres: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(
            DatabaseAddress.parse(f"postgresql://taskward:wrong@127.0.0.1:{postgres.port}/taskward")
        )


def test_certificates_are_read_again_only_after_their_file_has_changed(tmp_path: Path) -> None:
    authority = certificates.make(tmp_path, "one.example.com")
    address = DatabaseAddress.parse(
        f"postgresql://ann:x@db.example.com/db?{NEON_PARAMETERS}&sslrootcert={authority}"
    )
    first = driver_arguments(address)["ssl"]
    assert driver_arguments(address)["ssl"] is first

    certificates.make(tmp_path, "two.example.com")
    os.utime(authority, ns=(1, 1))

    assert driver_arguments(address)["ssl"].get_ca_certs() != first.get_ca_certs()
