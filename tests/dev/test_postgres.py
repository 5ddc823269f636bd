"""The PostgreSQL of `make run` and of the tests: no other user sees its password. Also: ports are unique."""

import stat
import threading
import time
from pathlib import Path

import pytest

from dev import cluster, postgres
from dev.postgres import PostgresServer, free_port

pytestmark = pytest.mark.server


def test_a_secret_is_written_into_a_file_that_nobody_else_could_read_at_any_moment(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("left from before")
    file.chmod(0o666)

    cluster.write_secret(file, "x")

    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("x", 0o600)


def test_no_process_has_the_password_among_its_arguments(tmp_path: Path) -> None:
    seen: set[bytes] = set()
    files: dict[Path, set[int]] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for arguments in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(arguments.read_bytes())
                except OSError:
                    continue
            for secret in (kept, *for_initdb):
                try:
                    mode = stat.S_IMODE(secret.stat().st_mode)
                except OSError:
                    continue
                files.setdefault(secret, set()).add(mode)
            time.sleep(0.002)

    server = PostgresServer(tmp_path, durable=False)
    home = server.data.parent
    kept = tmp_path / "postgres.password"
    for_initdb = [home / "password", home / "postgres.making" / "password"]  # one of the two exists
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        server.start()
        server.query("SELECT pg_sleep(0.2)")
    finally:
        done.set()
        watcher.join()
        server.remove()

    password = (tmp_path / "postgres.password").read_bytes()
    assert any(b"psql" in each and str(server.port).encode() in each for each in seen)  # the watcher works
    assert [each for each in seen if password in each] == []
    assert len(files) == 2
    assert all(modes == {0o600} for modes in files.values())


def test_no_port_is_given_out_twice_nor_to_two_workers_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = list[int]()
    for worker in ("gw1", "gw2"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        monkeypatch.setattr(postgres, "_given_ports", set())
        ports += [free_port() for _ in range(600)]  # of the 1,500 that a worker has

    assert len(set(ports)) == len(ports)
