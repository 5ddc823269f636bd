"""The main process of `app serve`: granian's, with additions.

It drains workers before shutdown, and logs and counts each worker that died. A worker that is still starting
stops at once.
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog
from granian.net import SocketSpec  # type: ignore[attr-defined]  # granian exports it without declaring it
from granian.server.mp import MPServer, WorkerProcess

from app.supervision import DRAIN, LEAVE, STARTED

log = structlog.get_logger()

LEAVE_AGAIN: Final = 0.2  # seconds between two LEAVE signals to a worker
NOTICE: Final = 0.2  # seconds during which each response has `connection: close`, before a worker is stopped
STOP: Final = {signal.SIGTERM, signal.SIGINT}
SIGNALS: Final = {*STOP, signal.SIGHUP}
WAKE: Final = STARTED  # sent by a worker that has started, and by this process to itself when one has ended
START_MAX: Final = 30.0  # seconds in which a worker must start after SIGHUP
START_CHECK: Final = 0.05  # seconds between two checks whether a starting worker has died
RESPAWN_PAUSE: Final = 0.5  # seconds before a worker is replaced that died within STEADY
STEADY: Final = 2.0  # seconds; while one worker is older than that, deaths of others do not end the service

# What the kernel does with a response that its client does not read (socket(7), tcp(7)). Connections inherit
# both options from the listening socket. docs/decisions/0013-slow-readers-and-senders.md gives the reasons.
SEND_BUFFER: Final = 128 * 1024  # bytes; with its own overhead the kernel takes up to twice as many
USER_TIMEOUT: Final = 30  # seconds after which the kernel cuts a connection whose client reads nothing


class SignalEvent:
    """Wakes granian's main loop: `set` sends a signal, and `wait` takes it.

    It replaces a `threading.Event`, which has a lock. A signal handler can run between two steps of its
    `wait`. If that handler calls `set`, it can wait for the lock forever ("Signals and threads" in Python's
    documentation of `signal`). So the signals are blocked and have no handler: the main loop takes them.
    """

    def __init__(self, handle: Callable[[int], None]) -> None:
        self._handle = handle  # called with each signal of SIGNALS

    def set(self) -> None:
        """End the wait, or the next one."""
        os.kill(os.getpid(), WAKE)

    def clear(self) -> None:
        """Do nothing: `wait` has taken the signal. A later signal must not be lost."""

    def wait(self) -> None:
        """Wait for `set` or a signal, and handle all signals.

        A stop signal may be pending behind WAKE. If so, the worker ended because the whole process group got
        the stop signal, and the worker is not replaced.
        """
        number = signal.sigwait({*SIGNALS, WAKE})
        if number != WAKE:
            self._handle(number)
        self.handle_pending()

    def handle_pending(self) -> None:
        """Handle the signals that are pending."""
        while pending := signal.sigpending() & SIGNALS:
            self._handle(signal.sigwait(pending))


class Server(MPServer):
    """granian's main process."""

    shutdown_delay = 0  # seconds
    main_loop_interrupt: SignalEvent  # type: ignore[assignment]  # granian's is a threading.Event
    restarts = 0  # workers that died and were replaced
    after_replacing: Callable[[], None]  # called after workers were replaced
    errors: Callable[[], list[str]]  # returns errors of the settings that a new worker would read

    def startup(self, spawn_target: Any, target_loader: Any) -> None:
        """Start the workers."""
        self.main_loop_interrupt = SignalEvent(handle=self._handle_signal)
        super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]  # granian's

    def _init_shared_socket(self) -> None:
        """Listen once, for all workers, so that no connection is refused while a worker is replaced.

        By default, on Linux, each worker of granian listens by itself.
        """
        holder = SocketSpec(self.bind_addr, self.bind_port, self.backlog).build()
        self._shd = holder  # type: ignore[assignment]  # granian declares None
        self._sso = socket.socket(fileno=holder.get_fd())
        self._sso.set_inheritable(True)
        self._sso.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if sys.platform == "linux":
            self._sso.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT * 1000)

    def shutdown(self, exit_code: int = 0) -> None:
        """Stop, after a stop signal or because a worker died again within seconds.

        After a stop signal each worker first adds `connection: close` to its responses, for NOTICE at least.
        Otherwise a client may send a request on a connection that the worker is closing, and cannot know
        whether it ran. If the whole process group got the signal, workers end by themselves: no error.
        """
        if self.interrupt_signal:
            self._drain()
            with suppress(SystemExit):  # granian exits with 1 if workers ended first
                super().shutdown(exit_code)  # type: ignore[no-untyped-call]  # granian's
            return
        for worker in (self.wrks[index] for index in self.interrupt_children):
            log.error("worker died again at once: stopping", pid=worker.inner.pid, cause=_cause(worker))
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]  # granian's

    def _handle_signal(self, number: int) -> None:
        """Note a signal for the main loop. SIGINT, or a second stop signal, ends the shutdown delay."""
        if number == signal.SIGHUP:
            self.reload_signal = True
            return
        if self.interrupt_signal or number == signal.SIGINT:
            self.shutdown_delay = 0
        self.interrupt_signal = True

    def _reload(self, spawn_target: Any, target_loader: Any) -> None:
        """Replace the workers on SIGHUP, unless a setting is invalid or a stop signal is pending."""
        self.reload_signal = False
        if errors := self.errors():
            log.error("invalid settings: the workers keep the old ones", errors=errors)
            return
        for index in range(self.workers):
            if signal.sigpending() & STOP:
                return
            if not self._replace(index, spawn_target, target_loader):
                break
        self.after_replacing()
        if self.interrupt_children:  # `_has_started` may have taken the wake of a worker that died
            self.main_loop_interrupt.set()

    def _replace(self, index: int, spawn_target: Any, target_loader: Any) -> bool:
        """Start a worker, and stop its predecessor once it has started. Return whether it has."""
        before = self.wrks[index]
        worker = self._spawn_worker(index, spawn_target, target_loader)
        worker.inner.start()  # not `worker.start`: until it has started, its end is no failure of the service
        if not self._has_started(worker):
            cause = f"no start in {START_MAX:.0f} s" if worker.is_alive() else _cause(worker)
            worker.kill()
            worker.join()
            if not signal.sigpending() & STOP:
                log.error("new worker did not start: the old one goes on", pid=before.inner.pid, cause=cause)
            return False
        worker._watch()  # noqa: SLF001  # type: ignore[no-untyped-call]  # the second half of granian's `start`
        self.wrks[index] = worker
        before.interrupt_by_parent = True  # from now on, its end is no failure
        if index in self.interrupt_children:  # it has ended already
            self.interrupt_children.remove(index)
        log.info("worker replaced", pid=before.inner.pid, cause="SIGHUP", restarts=self.restarts)
        _send_leave(before)
        _pause(NOTICE)
        before.terminate()
        before.join(DRAIN)
        if before.is_alive():
            before.kill()
            before.join()
        return True

    def _has_started(self, worker: WorkerProcess) -> bool:
        """Return whether a worker signals its start before its end, a stop signal, or START_MAX is over."""
        until = time.monotonic() + START_MAX
        while worker.is_alive() and time.monotonic() < until and not signal.sigpending() & STOP:
            wake = signal.sigtimedwait({WAKE}, START_CHECK)
            if wake is not None and wake.si_pid == worker.inner.pid:
                return True
        return False

    def _respawn_workers(
        self, workers: list[int], spawn_target: Any, target_loader: Any, delay: float = 0
    ) -> None:
        for worker in (self.wrks[index] for index in workers):
            self.restarts += 1
            log.error("worker replaced", pid=worker.inner.pid, cause=_cause(worker), restarts=self.restarts)
            if time.monotonic() - worker.birth < STEADY:
                _pause(RESPAWN_PAUSE)
        super()._respawn_workers(workers, spawn_target, target_loader, delay)
        if any(worker.is_alive() and time.monotonic() - worker.birth > STEADY for worker in self.wrks):
            self.respawned_wrks.clear()  # otherwise granian stops at the next death of such a worker
        self.after_replacing()

    def _drain(self) -> None:
        """Signal the workers until the shutdown delay is over or none is left.

        The signal is repeated, because a worker that is still starting ignores it.
        """
        start = time.monotonic()
        while (left := start + max(self.shutdown_delay, NOTICE) - time.monotonic()) > 0:
            for worker in self.wrks:
                _send_leave(worker)
            if not any(worker.is_alive() for worker in self.wrks):  # nothing is left to wait for
                break
            _pause(min(left, LEAVE_AGAIN))
            self.main_loop_interrupt.handle_pending()


def block_signals() -> None:
    """Leave the signals of this process to `SignalEvent.wait`. Call it before any thread starts.

    In a worker SIGTERM has its default effect from the first instruction until the event loop handles it: a
    starting worker ends at once. A starting worker ignores SIGINT, which a terminal sends to all processes:
    the main process handles it.
    """

    def in_worker() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*SIGNALS, WAKE})

    signal.pthread_sigmask(signal.SIG_BLOCK, {*SIGNALS, WAKE})
    os.register_at_fork(after_in_child=in_worker)


def _pause(seconds: float) -> None:
    # Not `time.sleep`: it can fail under libfaketime, with which a test sets the clock.
    threading.Event().wait(seconds)


def _send_leave(worker: WorkerProcess) -> None:
    if worker.is_alive():
        with suppress(ProcessLookupError):
            os.kill(worker.inner.pid, LEAVE)


def _cause(worker: WorkerProcess) -> str:
    status = worker.inner.exitcode
    return signal.Signals(-status).name if status is not None and status < 0 else f"exit status {status}"
