"""The main process of `app serve`: granian's, with additions.

It drains workers before shutdown, stops a worker that is still starting at once, and logs and counts each
worker that died.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog
from granian.server.mp import MPServer, WorkerProcess

from app.supervision import LEAVE

log = structlog.get_logger()

LEAVE_AGAIN: Final = 0.2  # seconds
NOTICE: Final = 0.2  # seconds in which every response has `connection: close`, before a worker is stopped
STOP: Final = (signal.SIGTERM, signal.SIGINT)


class Server(MPServer):
    """granian's main process."""

    shutdown_delay = 0  # seconds
    stopping = False  # a stop signal arrived
    restarts = 0  # workers that died and were replaced
    after_replacing: Callable[[], None]  # called after workers were replaced
    errors: Callable[[], list[str]]  # returns errors of the settings that a new worker would read

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop after the shutdown delay on the first SIGTERM; stop at once on SIGINT or a second signal."""
        self.stopping = True
        delay, self.shutdown_delay = self.shutdown_delay, 0
        if args[:1] == (signal.SIGTERM,) and delay:
            threading.Thread(target=self._drain, args=(delay,), daemon=True).start()
        else:
            super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]  # granian's

    def shutdown(self, exit_code: int = 0) -> None:
        """Stop. If a worker died again within seconds, log that as the cause.

        First each worker adds `connection: close` to its responses for a moment, also without a shutdown
        delay. Otherwise a client may send a request on a connection that the worker is closing, and cannot
        know whether it ran. If the signal was sent to the whole process group, workers end by themselves:
        that is no error.
        """
        if self.stopping:
            self._drain_for(NOTICE)
            with suppress(SystemExit):  # granian's status 1, for workers that ended first
                super().shutdown(exit_code)  # type: ignore[no-untyped-call]  # granian's
            return
        for worker in (self.wrks[index] for index in self.interrupt_children):
            log.error("worker died again at once: stopping", pid=worker.inner.pid, cause=_cause(worker))
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]  # granian's

    def _spawn_worker(self, *args: Any, **kwargs: Any) -> WorkerProcess:
        """Return a worker that is informed of its end before granian stops it.

        granian waits for every connection before it runs the application's shutdown, and event streams end
        only when they are informed.
        """
        worker: WorkerProcess = super()._spawn_worker(*args, **kwargs)
        stop = worker.terminate

        def leave_and_stop() -> None:
            _announce_leaving(worker)
            stop()  # type: ignore[no-untyped-call]  # granian's

        worker.terminate = leave_and_stop  # type: ignore[method-assign]  # of this one worker
        return worker

    def _reload(self, spawn_target: Any, target_loader: Any) -> None:
        """Replace the workers on SIGHUP. If a setting is invalid, keep the old ones."""
        self.reload_signal = False
        self.main_loop_interrupt.clear()
        if errors := self.errors():
            log.error("invalid settings: the workers keep the old ones", errors=errors)
        elif not self.interrupt_signal:
            super()._reload(spawn_target, target_loader)  # type: ignore[no-untyped-call]  # granian's
        if self.interrupt_signal or self.interrupt_children:  # a signal arrived meanwhile
            self.main_loop_interrupt.set()

    def _respawn_workers(
        self, workers: list[int], spawn_target: Any, target_loader: Any, delay: float = 0
    ) -> None:
        if self.stopping:  # the workers got the signal too; `_drain` sees that none is left
            return
        for worker in (self.wrks[index] for index in workers):
            died = not worker.is_alive()
            self.restarts += died
            (log.error if died else log.info)(
                "worker replaced",
                pid=worker.inner.pid,
                cause=_cause(worker) if died else "SIGHUP",
                restarts=self.restarts,
            )
        super()._respawn_workers(workers, spawn_target, target_loader, delay)
        self.after_replacing()

    def _drain(self, seconds: int) -> None:
        """Signal the workers until the delay is over or none is left, then stop."""
        self._drain_for(seconds)
        super().signal_handler_interrupt()  # type: ignore[no-untyped-call]  # granian's

    def _drain_for(self, seconds: float) -> None:
        """Signal the workers until the time is over or none is left.

        A worker that just starts gets a later signal.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for worker in self.wrks:
                _announce_leaving(worker)
            if not any(worker.is_alive() for worker in self.wrks):  # nothing is left to wait for
                break
            threading.Event().wait(min(left, LEAVE_AGAIN))  # `time.sleep` can fail under a faked clock


def let_starting_workers_be_stopped() -> None:
    """Make SIGTERM end a worker from its first instruction until its event loop handles the signal.

    Otherwise a starting worker inherits the main process's handler, which has no effect there, and is killed
    only after a timeout. Workers ignore SIGINT, which a terminal sends to all processes: the main process
    handles it.
    """

    def in_worker() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)

    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, STOP),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP),
        after_in_child=in_worker,
    )


def _announce_leaving(worker: WorkerProcess) -> None:
    if worker.is_alive():
        with suppress(ProcessLookupError):
            os.kill(worker.inner.pid, LEAVE)


def _cause(worker: WorkerProcess) -> str:
    status = worker.inner.exitcode
    return signal.Signals(-status).name if status is not None and status < 0 else f"exit status {status}"
