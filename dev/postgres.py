"""A private PostgreSQL: a cluster in a folder and a server on a local port.

Its login role has the same rights as the login role of a Neon database: it is no superuser, owns its
database, and may bypass row-level security. So what works here also works on Neon.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dev import binaries, cluster
from dev.children import prepare, unprivileged_user
from dev.cluster import CannotStart

SUPERUSER = "postgres"
LOGIN = "taskward"
STOP_TIMEOUT = 20  # seconds
START_TIMEOUT = 30  # seconds
TEMPORARY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    # With JIT, the query by which asyncpg looks up types takes 0.1 s on each connection of a pooler.
    "jit": "off",
}
"""Settings of a server whose data nobody keeps."""

_given_ports: set[int] = set()


class QueryFailed(Exception):
    """A statement failed; the message is what psql printed."""


class PostgresServer:
    """A server of the cluster in `folder/postgres`, or where `folder/postgres.elsewhere` says.

    The first start makes the cluster.
    """

    def __init__(
        self, folder: Path, *, port: int = 0, settings: Mapping[str, str] | None = None, durable: bool = True
    ) -> None:
        self._user = unprivileged_user()
        self._folder = folder.resolve()
        self._folder.mkdir(parents=True, exist_ok=True)
        self.bin = cluster.readable_programs(binaries.find(), self._user)
        self.data = cluster.data_folder(self._folder, self._user, durable=durable)
        self._durable = durable
        self.log = self._folder / "postgres.log"
        self.port = port or free_port()
        self._settings = {} if durable else dict(TEMPORARY)
        self._settings |= settings or {}
        self.through: tuple[str, ...] = ()  # a command that runs the server's, such as `ip netns exec`
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and return when it answers.

        Raises:
            CannotStart: with the reason.
            QueryFailed: the login role or its database cannot be made.
        """
        if not self.data.exists():
            password = secrets.token_urlsafe(24)
            cluster.write_secret(self._password_file(SUPERUSER), password)
            cluster.make(self.data, self.bin, self._user, password, durable=self._durable)
        self._refuse_a_second_server()
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            **self._settings,
        }
        command = [*self.through, str(self.bin / "postgres"), "-D", str(self.data)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a program of ours
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd="/",
                preexec_fn=prepare(self._user, on_parent_death=signal.SIGINT),  # noqa: PLW1509 - no threads here; SIGINT is a fast shutdown
            )
        self._wait_until_it_answers()
        self._make_login()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT is its fast shutdown, SIGQUIT its immediate one."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(STOP_TIMEOUT)
        self._process = None

    def remove(self) -> None:
        """Stop the server at once and delete its data, including data outside the folder."""
        self.stop(signal.SIGQUIT)
        if self.data.parent != self._folder:
            shutil.rmtree(self.data.parent, ignore_errors=True)
            (self._folder / "postgres.elsewhere").unlink(missing_ok=True)
        shutil.rmtree(self.data, ignore_errors=True)

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop and start the server, on the same port."""
        self.stop(how)
        self.start()

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The postmaster, while it runs."""
        return self._process

    @property
    def url(self) -> str:
        """The address of the login role's own database."""
        return self.url_of(LOGIN)

    def url_of(self, database: str, *, role: str = LOGIN) -> str:
        """Return the address of a database, for the login role or for another that `make_role` made."""
        return f"postgresql://{role}:{self._password_of(role)}@127.0.0.1:{self.port}/{database}"

    def new_database(self, *, template: str = "template1") -> str:
        """Make a database like its template, an empty one by default, and return its address."""
        name = f"test_{secrets.token_hex(6)}"
        self.query(f"CREATE DATABASE {name} OWNER {LOGIN} TEMPLATE {template}")
        return self.url_of(name)

    def make_role(self, role: str, options: str) -> None:
        """Make a login role with its own password. If the password's file is missing, set a new password."""
        exists = self.query(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'")  # noqa: S608 - a constant of ours
        password_file = self._password_file(role)
        if exists and password_file.exists():
            return
        password = secrets.token_urlsafe(24)
        verb = "ALTER" if exists else "CREATE"
        self.query(f"{verb} ROLE {role} LOGIN {options} PASSWORD '{password}'", stdin=True)
        # Written last: if this run is killed before, the next start sets another password.
        cluster.write_secret(password_file, password)

    def query(self, sql: str, database: str = "postgres", *, stdin: bool = False) -> str:
        """Run SQL as the superuser, by psql, and return what it prints.

        Every user of the machine can read a process's arguments: pass SQL with a secret by `stdin`.

        Raises:
            QueryFailed: PostgreSQL refuses the SQL, or cannot be reached.
        """
        done = subprocess.run(  # noqa: S603 - a program of ours
            [*self._psql_at(database), "-v", "ON_ERROR_STOP=1", "-f", "-"]
            if stdin
            else [*self._psql_at(database), "-v", "ON_ERROR_STOP=1", "-c", sql],
            input=sql if stdin else None,
            capture_output=True,
            text=True,
            check=False,
            env=self._psql_environment(),
        )
        if done.returncode:
            raise QueryFailed(f"PostgreSQL refuses: {done.stderr.strip()}")
        return done.stdout.strip()

    def _psql_at(self, database: str) -> list[str]:
        psql = str(self.bin / "psql") if (self.bin / "psql").exists() else "psql"
        return [psql, "-XAtq", "-h", "127.0.0.1", "-p", str(self.port), "-U", SUPERUSER, "-d", database]

    def _psql_environment(self) -> dict[str, str]:
        return {**os.environ, "PGPASSWORD": self._password_of(SUPERUSER)}

    def _password_of(self, role: str) -> str:
        return self._password_file(role).read_text().strip()

    def _password_file(self, role: str) -> Path:
        return self._folder / f"{role}.password"

    def _refuse_a_second_server(self) -> None:
        """Raise CannotStart if a server runs on this data. A lock file of a killed server does not count."""
        lock = self.data / "postmaster.pid"
        try:
            pid = int(lock.read_text().splitlines()[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes() if Path("/proc").exists() else b"postgres"
            os.kill(pid, 0)  # raises if there is no such process
        except (OSError, ValueError, IndexError):
            return
        if b"postgres" in command and str(self.data).encode() in command:
            raise CannotStart(
                f"a PostgreSQL (process {pid}) runs on {self.data} already: stop the other `make run`"
            )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                lines = self.log.read_text(errors="replace").splitlines()[-5:]
                raise CannotStart("PostgreSQL stopped at once:\n" + "\n".join(lines))
            ready = subprocess.run(  # noqa: S603 - a program of ours
                [*self._psql_at("postgres"), "-c", "SELECT 1"],
                capture_output=True,
                check=False,
                env=self._psql_environment(),
            )
            if ready.returncode == 0:
                return
            time.sleep(0.05)
        raise CannotStart(f"PostgreSQL did not answer within {START_TIMEOUT} s: see {self.log}")

    def _make_login(self) -> None:
        self.make_role(LOGIN, "NOSUPERUSER CREATEDB CREATEROLE BYPASSRLS")
        if not self.query(f"SELECT 1 FROM pg_database WHERE datname = '{LOGIN}'"):  # noqa: S608 - ours
            self.query(f"CREATE DATABASE {LOGIN} OWNER {LOGIN}")


@contextmanager
def temporary(folder: Path) -> Iterator[PostgresServer]:
    """Make a temporary server: fast, not durable, and deleted at the end with all its data."""
    server = PostgresServer(folder, durable=False)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def free_port() -> int:
    """Return a free port, below the ports that the system chooses by itself.

    A process never gets a port twice, because a server may be down for a moment and start on its port again.
    For the same reason each of up to eight workers of the tests has its own range.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = 20000 + 1500 * (worker % 8) + secrets.randbelow(1500)
        if port in _given_ports:
            continue
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given_ports.add(port)
        return port
