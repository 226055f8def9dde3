"""`python -m service` up to where it serves: what cannot be is one line, and a code."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.__main__ import console, main
from service.http.listener import listen


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what the command sets for its process."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    interrupt = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, interrupt)


def test_a_bad_setting_is_one_line_and_2(capfd: pytest.CaptureFixture[str]):
    assert main(["--workers", "0"]) == 2
    assert re.fullmatch(r"--workers \(or LATENT_WORKERS\): [^\n]+, not '0'\n", capfd.readouterr().err)


def test_a_port_that_is_taken_is_one_line_and_1(capfd: pytest.CaptureFixture[str]):
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    assert capfd.readouterr().err == f"cannot listen on 127.0.0.1 port {port}: Address already in use\n"


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_PROTOCOL"])
def test_what_cannot_be_traced_is_one_line_and_2(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variable: str
):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv(variable, "carrier-pigeon")
    assert main([]) == 2
    assert re.fullmatch(r"[^\n]*OTEL_[^\n]+\n", capfd.readouterr().err)


def test_help_calls_the_command_by_its_name(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main(["--help"], "latent-service")
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage: latent-service")


def test_the_console_command_reads_its_own_arguments(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.argv", ["latent-service", "--prot", "1"])
    assert console() == 2
    assert capfd.readouterr().err == "unrecognized arguments: --prot 1\n"


def test_a_closed_standard_input_is_not_given_to_a_socket():
    kept = os.dup(0)
    os.close(0)
    try:
        assert main(["--workers", "0"]) == 2
        assert Path("/proc/self/fd/0").readlink() == Path(os.devnull)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
