"""`python -m service`, or `latent-service`: read the settings, take the port, serve."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from service.command_line import read_settings
from service.settings import BadSetting


def console() -> int:
    """Run as the command `latent-service`."""
    return main(sys.argv[1:], "latent-service")


def main(arguments: Sequence[str], program: str = "python -m service") -> int:
    """Serve until told to stop, and return the exit code: 1 if the port is taken, 2 for a bad setting.

    `program` is what `--help` calls this command.
    """
    _fill_standard_descriptors()
    try:
        settings = read_settings(arguments, program)
    except BadSetting as error:
        return _fail(str(error), 2)
    # Until something is served there is nothing to finish, and Ctrl-C just ends the process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's own threads would not survive a fork
    # Imported now, so that --help and a bad setting are answered at once.
    from service.http.listener import CannotListen, listen  # noqa: PLC0415
    from service.inference import device  # noqa: PLC0415
    from service.observability import trace_exporter  # noqa: PLC0415

    try:
        device.check(settings.device)
        trace_exporter.check()
    except (device.NoSuchDevice, trace_exporter.CannotTrace) as error:
        return _fail(str(error), 2)
    try:
        listener = listen(settings.host, settings.port)
    except CannotListen as error:
        return _fail(str(error), 1)
    from service.coordination.shared_folder import NoRoom  # noqa: PLC0415
    from service.workers.launch import supervise  # noqa: PLC0415

    try:
        return supervise(settings, listener)
    except NoRoom as error:
        return _fail(str(error), 1)


def _fill_standard_descriptors() -> None:
    """Open those of the first three that are closed: else a socket gets their number, and their lines."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free


def _fail(message: str, code: int) -> int:
    with suppress(OSError):  # the code counts, whether or not anybody reads why
        os.write(2, f"{message}\n".encode(errors="backslashreplace"))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
