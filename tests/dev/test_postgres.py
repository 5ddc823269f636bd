"""The PostgreSQL of `make run` and of the tests: no other user sees its password. Also: ports are unique."""

import stat
import threading
import time
from pathlib import Path

import pytest

from dev import cluster, postgres
from dev.postgres import PostgresServer, free_port

pytestmark = pytest.mark.server


def test_a_secret_replaces_a_file_that_everybody_can_read_with_one_that_only_its_owner_can_read(
    tmp_path: Path,
) -> None:
    file = tmp_path / "secret"
    file.write_text("left from before")
    file.chmod(0o666)

    cluster.write_secret(file, "x")

    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("x", 0o600)


def test_the_password_is_in_no_arguments_of_a_process_and_only_its_owner_can_read_the_files(
    tmp_path: Path,
) -> None:
    arguments_seen: set[bytes] = set()
    modes_seen: dict[Path, set[int]] = {}
    done = threading.Event()

    def watch() -> None:
        """Note the arguments of all processes, and the permissions of the files with the password."""
        while not done.is_set():
            for arguments in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    arguments_seen.add(arguments.read_bytes())
                except OSError:
                    continue
            for secret in (password_file, *files_for_initdb):
                try:
                    mode = stat.S_IMODE(secret.stat().st_mode)
                except OSError:
                    continue
                modes_seen.setdefault(secret, set()).add(mode)
            time.sleep(0.002)

    server = PostgresServer(tmp_path, durable=False)
    home = server.data.parent
    password_file = tmp_path / "postgres.password"
    files_for_initdb = [home / "password", home / "postgres.making" / "password"]  # one of the two exists
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        server.start()
        server.query("SELECT pg_sleep(0.2)")
    finally:
        done.set()
        watcher.join()
        server.remove()

    password = password_file.read_bytes()
    port = str(server.port).encode()
    assert any(b"psql" in each and port in each for each in arguments_seen)  # the watcher works
    assert [each for each in arguments_seen if password in each] == []
    assert len(modes_seen) == 2
    assert all(modes == {0o600} for modes in modes_seen.values())


def test_no_port_is_given_out_twice_nor_to_two_workers_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = list[int]()
    for worker in ("gw1", "gw2"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        monkeypatch.setattr(postgres, "_given_ports", set())
        ports += [free_port() for _ in range(600)]  # of the 1,500 that a worker has

    assert len(set(ports)) == len(ports)
