"""The parts of `make bench` in which an error would give a wrong figure."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_connection, create_server
from subprocess import PIPE, Popen
from xml.etree import ElementTree as ET

import psutil
import pytest

from benchmarks import chart, load, readme
from benchmarks.agreement import Disagreement, collect_answers
from benchmarks.comparison import scenes_of
from benchmarks.distance import delaying_proxy
from benchmarks.extras import idle_streams
from benchmarks.load import LoadFailed
from benchmarks.measuring import Figures, Measured
from benchmarks.report import Report
from benchmarks.running import DidNotStart, Running, cpu_of, running
from benchmarks.scenes import Owner, Request, requests_of
from benchmarks.settings import BenchSettings
from benchmarks.trust import issuer_of
from dev.postgres import free_port
from dev.steps import CannotRun

PLAIN = Request("GET", "/", "token")
needs_wrk = pytest.mark.skipif(load.find_wrk() is None, reason="wrk is not installed")

WHERE = {
    "machine": {"cores": 2, "processor": "<one>", "memory_gb": 4, "system": "Linux"},
    "versions": {"python": "3", "postgresql": "15", "node": ""},
    "commit": "0",
    "measured_at": "now",
}
ANN, BOB = (Owner(name, f"{name}'s token", (f"{name}'s task",)) for name in ("ann", "bob"))
BURN = "import time\nwhile time.process_time() < 0.5: pass\n"

# One child that has ended, and one that lives: each has used 0.5 seconds.
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {BURN!r}])
living = subprocess.Popen([sys.executable, "-c", {BURN + "print(flush=True); input()"!r}], stdin=subprocess.PIPE)
input()
"""


def measured(variant: str, *cpus: float, scene: str = "list", wal: float = 0) -> list[Measured]:
    """Return a measurement for each round. `cpus`: the server's microseconds for a request; PostgreSQL adds one."""
    rest = {"database_cpu": 1, "client_cpu": 1, "p50": 1, "p95": 1, "p99": 1, "memory": 1}
    return [
        Measured(number, variant, scene, Figures(rate=1000 / cpu, cpu=cpu, wal=wal, **rest))
        for number, cpu in enumerate(cpus)
    ]


@contextmanager
def answering(*statuses: int, keys: list[str | None] | None = None) -> Iterator[str]:
    """Respond with these statuses in turn, whatever the request; note the Idempotency-Key of each."""
    turn = iter(range(10**9))
    noted = [] if keys is None else keys

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = b"[]"
            noted.append(self.headers["idempotency-key"])
            self.send_response(statuses[next(turn) % len(statuses)])
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.quiet
def test_the_cpu_time_of_living_and_of_ended_children_is_counted_once() -> None:
    with Popen([sys.executable, "-c", PARENT], stdin=PIPE, stdout=PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()  # the living child has used its time

        spent = cpu_of(psutil.Process(parent.pid))

        parent.communicate(b"\n")

    assert 0.95 <= spent < 1.45  # two children with 0.5 s each, and a little for the parent


def test_memory_is_reported_for_each_process_the_largest_first() -> None:
    parent = "import subprocess, sys\nbig = b'x' * 50_000_000\n"
    child = "subprocess.run([sys.executable, '-c', 'print(flush=True); input()'])"
    with Popen([sys.executable, "-c", parent + child], stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()

        first, second = Running("", 0, psutil.Process(process.pid)).memory()

        process.communicate(b"\n")

    assert first > 50 > second > 1


def test_a_ratio_is_that_of_the_medians_with_the_spread_of_single_rounds() -> None:
    report = Report([*measured("ours", 10, 40, 20), *measured("theirs", 100, 80, 40)])

    ratio = report.ratio("ours", "theirs", "list")

    assert report.median("ours", "list") == 20
    assert (ratio.of_medians, ratio.least, ratio.greatest) == (20 / 80, 10 / 100, 40 / 80)


def test_rounds_are_compared_with_the_same_round_even_if_one_is_missing() -> None:
    report = Report([*measured("ours", 10, 20, 90), *measured("theirs", 20, 20)])

    ratio = report.ratio("ours", "theirs", "list")

    assert (ratio.least, ratio.greatest) == (0.5, 1)


def test_requests_of_a_scene_are_the_same_at_each_call() -> None:
    assert requests_of("read", [ANN, BOB]) == requests_of("read", [ANN, BOB])
    assert {request.token for request in requests_of("read", [ANN, BOB])} == {ANN.token, BOB.token}


@pytest.mark.quiet
@needs_wrk
def test_load_counts_the_responses() -> None:
    keys: list[str | None] = []
    with answering(200, keys=keys) as url:
        done = load.send([PLAIN], url, seconds=1, clients=4)

    assert done.requests > 10
    assert len(keys) - 4 <= done.requests <= len(keys)  # each client may end before its last response
    assert 0.9 < done.seconds < 2
    assert 0 < done.p50 <= done.p95 <= done.p99
    assert done.cpu > 0


@needs_wrk
def test_each_request_of_a_keyed_scene_has_a_key_that_no_other_has() -> None:
    keys: list[str | None] = []
    keyed = Request("GET", "/", "token", keyed=True)

    with answering(200, keys=keys) as url:
        for _ in range(2):
            load.send([PLAIN, keyed], url, seconds=1, clients=4)

    sent = [key for key in keys if key is not None]
    assert len(keys) // 3 < len(sent) < len(keys)
    assert len(set(sent)) == len(sent)


@needs_wrk
@pytest.mark.parametrize("statuses", [(500,), (200, 200, 200, 404)])
def test_a_server_that_fails_some_requests_has_no_figures(statuses: tuple[int, ...]) -> None:
    with (
        answering(*statuses) as url,
        pytest.raises(LoadFailed, match=r"\d+ of \d+ requests like GET / failed"),
    ):
        load.send([PLAIN], url, seconds=1, clients=4)


@needs_wrk
def test_a_server_that_never_answers_has_no_figures() -> None:
    with (
        create_server(("127.0.0.1", 0), backlog=50) as silent,
        pytest.raises(LoadFailed, match="of 0 requests"),
    ):
        load.send([PLAIN], f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=1, clients=4)


@needs_wrk
def test_a_server_that_cannot_be_reached_has_no_figures() -> None:
    with pytest.raises(LoadFailed):
        load.send([PLAIN], f"http://127.0.0.1:{free_port()}", seconds=1, clients=4)


def test_a_server_that_refuses_an_event_stream_has_no_figures() -> None:
    with (
        issuer_of("HS256") as issuer,
        answering(200, 503) as url,
        pytest.raises(LoadFailed, match="stream 2 of 3 is answered 503"),
        idle_streams(url, issuer, 3),
    ):
        pass


@pytest.mark.parametrize("program", ["exit('no database')", "print('no database'); import sys; sys.exit(1)"])
def test_a_server_that_does_not_start_is_reported_with_its_output(program: str, tmp_path: Path) -> None:
    began = time.monotonic()

    with (
        pytest.raises(DidNotStart, match="no database"),
        running(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={"PORT": str(free_port())},
            probe=PLAIN,
            log=tmp_path / "log",
        ),
    ):
        pass

    assert time.monotonic() - began < 10


def test_a_server_that_lets_everybody_in_is_not_measured() -> None:
    with answering(200) as url, pytest.raises(Disagreement, match="a forged token got 200, not 401"):
        collect_answers(url, ANN, BOB, "forged", checks=True)


def test_a_server_that_shows_another_persons_list_is_not_measured() -> None:
    with answering(401, 200) as url, pytest.raises(Disagreement, match="another's list got 200, not 403"):
        collect_answers(url, ANN, BOB, "forged", checks=True)


def test_all_invalid_settings_of_a_run_are_reported_at_once() -> None:
    with pytest.raises(CannotRun) as raised:
        BenchSettings.from_env(
            {"ROUNDS": "0", "SCENES": "list,lost", "SERVERS": "django", "ALG": "none", "POOLER": "yes"}
        )

    assert [line.split()[0] for line in str(raised.value).splitlines()] == [
        "POOLER",
        "ALG",
        "ROUNDS",
        "SCENES",
        "SERVERS",
    ]


def test_chosen_scenes_run_in_the_order_of_the_harness() -> None:
    assert BenchSettings.from_env({"SCENES": "create, list"}).scenes == ("list", "create")


def test_the_commit_to_compare_with_is_measured_right_after_the_working_tree() -> None:
    without, with_it = BenchSettings.from_env({}), BenchSettings.from_env({"BEFORE": "98af942"})
    alone = BenchSettings.from_env({"BEFORE": "98af942", "SERVERS": "taskward,before"})

    assert "before" not in without.servers
    assert [server.name for server in with_it.chosen_servers()[:2]] == ["taskward", "before"]
    assert [server.title for server in alone.chosen_servers()] == ["Taskward", "Taskward at 98af942"]
    assert all(server.ours for server in alone.chosen_servers())


def test_a_distant_server_gets_and_sends_bytes_later_but_in_order() -> None:
    with create_server(("127.0.0.1", 0)) as listener, delaying_proxy(listener.getsockname()[1], 0.1) as port:
        began = time.monotonic()
        with create_connection(("127.0.0.1", port)) as client:
            server, _ = listener.accept()
            for part in (b"a", b"b", b"c"):
                client.sendall(part)
                time.sleep(0.02)
            heard = server.makefile("rb").read(3)
            server.sendall(heard)
            answered = client.makefile("rb").read(3)
            server.close()

    assert (heard, answered) == (b"abc", b"abc")
    assert time.monotonic() - began > 0.2


@pytest.mark.parametrize(
    ("env", "route", "clients"),
    [
        ({}, "", 16),
        ({"POOLER": "1"}, "pooler", 16),
        ({"DISTANCE": "5"}, "distance-5", 64),
        ({"POOLER": "forgets", "DISTANCE": "2"}, "pooler-forgets-distance-2", 64),
    ],
)
def test_each_route_to_the_database_has_its_own_name_and_number_of_clients(
    env: dict[str, str], route: str, clients: int
) -> None:
    chosen = BenchSettings.from_env(env)

    assert (chosen.route, chosen.clients) == (route, clients)


def test_scenes_with_idempotency_keys_run_only_on_servers_that_support_them() -> None:
    chosen = BenchSettings.from_env({"SCENES": "create,create-keyed"})
    ours, peer = chosen.chosen_servers()[:2]

    assert scenes_of(ours, chosen) == ["create", "create-keyed"]
    assert scenes_of(peer, chosen) == ["create"]


def test_the_readmes_table_has_the_total_cpu_and_a_dash_where_nothing_was_measured() -> None:
    keyed = measured("Taskward", 99, scene="create-keyed")

    table = readme.figures(Report([*measured("Taskward", 49), *measured("A", 99), *keyed]), WHERE)

    assert "| list 50 | 50 | 100 (0.50) |\n| create, Idempotency-Key | 100 | - |\n" in table


def test_the_table_of_all_figures_has_a_ratio_only_where_both_servers_have_the_figure() -> None:
    create = [*measured("Taskward", 10, scene="create", wal=300), *measured("A", 20, scene="create", wal=100)]
    read = [*measured("Taskward", 10), *measured("A", 20)]
    keyed = measured("Taskward", 32, scene="create-keyed", wal=400)
    chosen = BenchSettings.from_env({"DISTANCE": "5"})
    starts = {"Taskward": [1.0], "A": [1.0]}

    table = readme.comparison(Report([*read, *create, *keyed]), None, starts, chosen, WHERE)

    ratio = "| ratio: Taskward / this server |  | "
    assert f"| **create**: WAL, bytes a request | 300 | 100 |\n{ratio}3.00 (3.00 to 3.00) |" in table
    assert "| **list 50**: WAL, bytes a request | 0 | 0 |\n| requests/s |" in table  # a read writes none
    assert "| **create, Idempotency-Key**: WAL, bytes a request | 400 |  |\n| requests/s |" in table
    assert "- Create, Idempotency-Key: 3.00 of create" in table
    assert "64 clients" in table


def test_the_readme_gets_its_table_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- bench: written by a run -->\nold\n<!-- /bench -->\nafter\n")

    readme.replace_between_marks("bench", r"new \1", page)

    assert page.read_text() == "before\n<!-- bench: written by a run -->\nnew \\1\n<!-- /bench -->\nafter\n"


def test_the_chart_has_a_bar_for_each_server_as_long_as_its_figure() -> None:
    report = Report([*measured("Taskward", 50, 50), *measured("A & B", 100, 100)])

    drawn = ET.fromstring(chart.draw(report, WHERE))  # noqa: S314 - ours

    bars = [rect for rect in drawn.iter("{http://www.w3.org/2000/svg}rect") if rect.get("class") != "paper"]
    assert [rect.get("class") for rect in bars] == ["ours", "theirs"]
    assert float(bars[0].get("width", 0)) * 2 == float(bars[1].get("width", 0))
