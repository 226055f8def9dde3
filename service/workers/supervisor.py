"""The parent of the serving processes: forks them, replaces those that die, serves nothing itself.

    launch.supervise -> Supervisor -> worker.serve, in each worker

What every worker needs is imported here, once, and its memory is shared with them all; models, threads and
event loops are made in the workers. Told to stop, the supervisor passes it on and waits for all to finish.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path

from service.comparison.drift import Windows
from service.coordination.connection_counts import ConnectionCounts
from service.coordination.desired_state import DesiredState
from service.coordination.heartbeats import Heartbeats
from service.coordination.shared_folder import DRIFT
from service.observability import shared_metrics
from service.runtime import memory
from service.settings import Settings
from service.workers.worker import WorkerHandles, serve

CHECK_EVERY_S = 0.5
"""Time from one look for signs of life to the next."""

RESTART_DELAY_S = 1.0
"""Pause before a dead worker is replaced, so that one that cannot live does not take a core."""

CANNOT_START = 3
"""Exit code, uvicorn's, of a worker that cannot serve: neither could the next one."""

ORDER = struct.Struct("q")

SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    *(known for known in (signal.SIGHUP, signal.SIGQUIT) if signal.getsignal(known) is not signal.SIG_IGN),
)
"""Those that stop the service; `nohup` and a shell's `&` have some of them ignored."""

logger = logging.getLogger(__name__)


class Supervisor:
    """Starts workers, passes signals on to them and replaces those that die."""

    def __init__(self, settings: Settings, listener: socket.socket, folder: Path) -> None:
        """Supervise workers on `listener`; what they share lies in the folders of `folder`."""
        self._settings = settings
        self._listener = listener
        self._workers: dict[ForkProcess, int] = {}
        """With their numbers, from 0 on."""
        self._connection_counts = ConnectionCounts(settings.workers)
        self._heartbeats = Heartbeats(settings.workers, math.ceil(settings.stuck_worker_s / CHECK_EVERY_S))
        self._desired = DesiredState(settings.workers)
        self._drift = folder / DRIFT
        self._checked_s = time.monotonic()
        self._stopping = False
        self._exit_code = 0
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._reports, self._reporter = os.pipe()
        """Orders from the workers: the system keeps such short writes in one piece."""
        os.set_blocking(self._reporter, False)
        self._alive, self._lifeline = os.pipe()

    def run(self) -> int:
        """Supervise until the last worker is gone."""
        memory.settle()
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for known in SIGNALS:
            signal.signal(known, lambda *_: None)  # the wakeup socket carries the number
        for number in range(self._settings.workers):
            self._start(number, announce=number == 0)
        while self._workers:
            sentinels = [worker.sentinel for worker in self._workers]
            ready = wait([self._woken, self._reports, *sentinels], CHECK_EVERY_S)
            if self._woken in ready:
                for number in self._woken.recv(64):
                    self._pass_on(number)
            self._desired.settle(self._read_orders() if self._reports in ready else ())
            for worker in [worker for worker in self._workers if worker.sentinel in ready]:
                self._bury(worker, self._workers.pop(worker))
            self._check_heartbeats()
        return self._exit_code

    def _start(self, number: int, *, announce: bool = False, pause_s: float = 0) -> None:
        # A fork, so that all workers share the memory of what is imported. It is the child that pauses before
        # it replaces another: here a pause would keep signals and other deaths waiting.
        worker = get_context("fork").Process(target=self._work, args=(number, announce, pause_s))
        # Until `_work` has reset the handlers the child is our copy: it would write a SIGTERM to our wakeup
        # socket, from where it is passed on to all workers again, and live on. Blocked, the signal waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        worker.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self._workers[worker] = number
        self._heartbeats.expect(number)  # what its predecessor has missed is not its own

    def _work(self, number: int, announce: bool, pause_s: float) -> None:
        os.setpgid(0, 0)  # Ctrl-C in a terminal reaches the supervisor alone, which passes it on once
        os.close(self._lifeline)
        signal.set_wakeup_fd(-1)
        for known in SIGNALS:
            signal.signal(known, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        shared_metrics.be_worker(number)
        time.sleep(pause_s)
        try:
            serve(self._settings, self._listener, self._handles(number), announce=announce)
        except Exception:
            logger.exception("a worker cannot serve")
            sys.exit(CANNOT_START)
        finally:
            logging.shutdown()  # what is logged waits to be written

    def _handles(self, number: int) -> WorkerHandles:
        return WorkerHandles(
            self._connection_counts.worker(number),
            self._heartbeats.heartbeat(number),
            self._desired.participant(number, self._report),
            Windows(self._drift, number, self._settings.drift_rows, self._settings.keep_versions),
            self._alive,
        )

    def _report(self, order: int) -> None:
        """Have the supervisor settle an order, from a worker; without one, the state that it has changed."""
        with suppress(BlockingIOError):  # the supervisor hangs, and what is waiting is enough to wake it
            os.write(self._reporter, ORDER.pack(order))

    def _read_orders(self) -> list[int]:
        return [order for (order,) in ORDER.iter_unpack(os.read(self._reports, 512 * ORDER.size))]

    def _check_heartbeats(self) -> None:
        """Kill workers that show no sign of life; they are buried like any other."""
        if time.monotonic() < self._checked_s + CHECK_EVERY_S:
            return
        self._checked_s = time.monotonic()
        silent = self._heartbeats.check()
        for worker, number in self._workers.items():
            if number in silent:
                worker.kill()
                logger.error("worker %s shows no sign of life; it is killed", worker.pid)

    def _pass_on(self, number: int) -> None:
        """Hand a signal to every worker; the socket closes when the last of them closes it."""
        known = signal.SIGINT if number == signal.SIGINT else signal.SIGTERM
        self._stopping = True
        self._listener.close()
        for worker in self._workers:
            if worker.pid:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, known)

    def _bury(self, worker: ForkProcess, number: int) -> None:
        """Take note of a worker's end and replace it, unless this is the end of all."""
        worker.join()
        self._connection_counts.worker(number).leave()
        self._desired.leave(number)
        shared_metrics.forget(number)
        if self._stopping:
            return
        if worker.exitcode == CANNOT_START:
            self._exit_code = CANNOT_START
            self._pass_on(signal.SIGTERM)
            return
        logger.error("worker %s ended with code %s; it is replaced", worker.pid, worker.exitcode)
        self._start(number, pause_s=RESTART_DELAY_S)
