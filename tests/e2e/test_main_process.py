"""The main process of `app serve` notices each signal, at whatever moment it arrives."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.supervision import DRAIN
from tests.conftest import environment_for
from tests.support.servers.service import serving

pytestmark = pytest.mark.server

BOTH_AT_ONCE = """
import os, signal
from app.cli.main_process import SignalEvent, block_signals

block_signals()
handled = []
event = SignalEvent(handle=handled.append)
event.set()
os.kill(os.getpid(), signal.SIGTERM)
event.wait()
print(handled == [signal.SIGTERM])
"""

STOP_DURING_RELOAD = """
import os, signal
from app.cli.main_process import Server, block_signals

class Stopped(Server):
    def _spawn_workers(self, *_):
        os.kill(os.getpid(), signal.SIGHUP)

    def errors(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return []

    def _respawn_workers(self, *_, **__):
        print("replaced")

block_signals()
server = Stopped("none:none", port=0, log_enabled=False)
server.startup(None, None)
server._serve_loop(None, None)
"""

SPAWN = """
import multiprocessing, runpy, sys
from multiprocessing import resource_tracker

multiprocessing.set_start_method("spawn")
resource_tracker.ensure_running()  # started later, it would unblock signals in some versions of Python (python/cpython#127586)
sys.argv[1:] = ["serve"]
runpy.run_module("app", run_name="__main__")
"""

MANY_SIGNALS = """
import os, random, signal, sys, time
from app.cli.main_process import Server, block_signals

SIGNALS = 10_000
reads, writes = os.pipe()

def send_signals(main_process):
    # Send each signal when the one before was handled.
    for _ in range(SIGNALS):
        os.kill(main_process, signal.SIGHUP)
        os.read(reads, 1)
    os.kill(main_process, signal.SIGTERM)

class Reloading(Server):
    # It has no workers, and a reload takes a few random microseconds.
    reloads = 0

    def _spawn_workers(self, *_):
        main_process = os.getpid()
        if os.fork() == 0:
            send_signals(main_process)
            os._exit(0)

    def _reload(self, *_):
        self.reload_signal = False
        self.reloads += 1
        os.write(writes, b".")
        soon = time.perf_counter() + random.uniform(0, 100e-6)
        while time.perf_counter() < soon:
            pass

block_signals()
server = Reloading("none:none", port=0, log_enabled=False)
server.startup(None, None)
server._serve_loop(None, None)
sys.exit(server.reloads != SIGNALS)
"""

RELOAD = """
import os, signal, sys, time
from app.cli import main_process
from app.supervision import LEAVE, STARTED

if sys.argv[1].startswith("hang"):
    main_process.START_MAX = 1.0
sent, kill, server_pid = [], os.kill, os.getpid()

def record(pid, number):
    sent.append((pid, number, time.monotonic()))
    kill(pid, number)

def start(*_):
    signal.signal(LEAVE, signal.SIG_IGN)
    kill(os.getppid(), STARTED)
    signal.pause()

def hang(*_):
    signal.pause()

def hang_while_another_worker_starts(*_):
    if os.fork() == 0:
        kill(server_pid, STARTED)
        os._exit(0)
    signal.pause()

def let_the_service_stop(*_):
    kill(os.getppid(), signal.SIGTERM)
    signal.pause()

def outlive_the_old_worker(*_):
    kill(old.inner.pid, signal.SIGKILL)  # its end wakes the main process, too
    time.sleep(0.5)
    start()

class Reloading(main_process.Server):
    errors = staticmethod(list)
    after_replacing = staticmethod(list)

main_process.block_signals()
server = Reloading("none:none", port=0, log_enabled=False)
server.startup(start, None)
signal.sigwait({STARTED})
(old,) = server.wrks
os.kill = record
server._reload(globals()[sys.argv[1]], None)
os.kill = kill
notice = [moment for pid, number, moment in sent if pid == old.inner.pid and number in (LEAVE, signal.SIGTERM)]
print("old worker goes on" if server.wrks == [old] and old.is_alive() else "old worker is replaced")
print("notice in time" if notice and notice[-1] - notice[0] >= main_process.NOTICE else "no notice")
print("another replacement follows" if server.interrupt_children else "nothing follows")
server.shutdown()
"""


def reload_with(new_worker: str) -> list[str]:
    """Run RELOAD, where the new worker calls this function. Return the printed lines."""
    command = [sys.executable, "-c", RELOAD, new_worker]
    return subprocess.run(command, capture_output=True, check=True, timeout=60, text=True).stdout.splitlines()


def test_a_reload_gives_the_old_worker_time_between_the_signal_to_leave_and_its_end() -> None:
    assert reload_with("start")[1:] == ["old worker is replaced", "notice in time", "nothing follows"]


@pytest.mark.parametrize("new_worker", ["hang", "hang_while_another_worker_starts"])
def test_given_a_new_worker_that_does_not_start_in_time_then_the_old_one_goes_on_and_an_error_is_logged(
    new_worker: str,
) -> None:
    error, *outcome = reload_with(new_worker)

    assert "new worker did not start: the old one goes on" in error
    assert "cause='no start in 1 s'" in error
    assert outcome == ["old worker goes on", "no notice", "nothing follows"]


def test_a_stop_signal_that_comes_while_a_new_worker_starts_is_no_error_of_the_reload() -> None:
    assert reload_with("let_the_service_stop") == ["old worker goes on", "no notice", "nothing follows"]


def test_given_an_old_worker_that_dies_during_the_reload_then_its_successor_is_not_replaced_too() -> None:
    assert reload_with("outlive_the_old_worker")[1:] == [
        "old worker is replaced",
        "no notice",
        "nothing follows",
    ]


def test_each_of_thousands_of_signals_ends_the_wait_for_signals() -> None:
    done = subprocess.run([sys.executable, "-c", MANY_SIGNALS], capture_output=True, check=False, timeout=120)

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_stop_signal_that_came_when_a_worker_ended_is_handled_before_the_worker_is_replaced() -> None:
    done = subprocess.run([sys.executable, "-c", BOTH_AT_ONCE], capture_output=True, check=True, timeout=60)

    assert done.stdout == b"True\n"


def test_a_stop_signal_that_comes_while_a_reload_checks_the_settings_stops_without_replacing_workers() -> (
    None
):
    done = subprocess.run(
        [sys.executable, "-c", STOP_DURING_RELOAD], capture_output=True, check=True, timeout=60
    )

    assert done.stdout == b""


@pytest.mark.quiet  # a worker that is still importing handles the signal only afterwards
def test_given_workers_that_were_spawned_and_not_forked_then_a_stop_signal_ends_them_before_their_timeout(
    database_url: str, tmp_path: Path
) -> None:
    env = environment_for(database_url, WEB_CONCURRENCY="2")
    with serving(env, tmp_path, under=[sys.executable, "-c", SPAWN]) as service:
        service.process.send_signal(signal.SIGTERM)

        assert service.process.wait(DRAIN - 1) == 0
