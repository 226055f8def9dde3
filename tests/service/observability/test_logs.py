"""The log: one record is one line, for people or as JSON, with the trace of its request."""

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable, Iterator

import pytest

from service.observability import traces
from service.observability.logs import configure_logs
from support.recorded_spans import RecordedSpans

Written = Callable[[], str]


@pytest.fixture
def written(capfd: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """Returns what was logged up to now; afterwards nothing is logged any more."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def read() -> str:
        root.handlers[0].close()
        return capfd.readouterr().err

    yield read
    root.handlers[0].close()
    root.handlers[:], root.level = handlers, level


def test_record_is_one_line_whatever_it_holds(written: Written):
    configure_logs("info", "line")
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logging.getLogger("service.test").exception("name\r\n2026-01-01 ERROR forged")
    lines = written().splitlines()
    assert len(lines) == 1
    assert "ERROR" in lines[0]
    assert "service.test" in lines[0]
    assert "ValueError: first" in lines[0]


def test_lines_below_the_level_are_not_written(written: Written):
    configure_logs("warning", "line")
    logging.getLogger("service.test").info("quiet")
    logging.getLogger("service.test").warning("loud")
    assert [line.split()[-1] for line in written().splitlines()] == ["loud"]


def test_records_are_json_where_that_is_asked_for(written: Written):
    configure_logs("info", "json")
    logger = logging.getLogger("service.test")
    logger.info("asked %d", 1, extra={"request": {"request_id": "abc", "status": 200}})
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logger.exception("bro\nken")
    first, second = map(json.loads, written().splitlines())
    assert (first["message"], first["level"], first["request_id"], first["status"]) == (
        "asked 1",
        "info",
        "abc",
        200,
    )
    assert (second["message"], second["logger"]) == ("bro\nken", "service.test")
    assert "ValueError: first\nsecond" in second["exception"]


def test_neither_the_server_nor_asyncio_is_heard_below_a_warning(written: Written):
    configure_logs("debug", "line")
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).info("quiet")
        logging.getLogger(name).warning("loud")
    assert [line.split()[-1] for line in written().splitlines()] == ["loud", "loud"]


@pytest.fixture
def _in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_tokyo")
def test_a_line_has_its_time_to_the_millisecond_in_utc(written: Written):
    configure_logs("info", "line")
    record = logging.makeLogRecord(
        {"name": "test", "msg": "said", "levelname": "INFO", "levelno": 20, "process": 7}
    )
    record.created, record.msecs = 0.0, 42.0
    logging.getLogger().handle(record)
    assert written() == "1970-01-01T00:00:00.042Z INFO 7 test said\n"


@pytest.mark.parametrize("log_format", ["line", "json"])
def test_a_line_about_a_traced_request_leads_to_its_trace(written: Written, log_format: str):
    configure_logs("info", log_format)
    trace = RecordedSpans().begin()

    async def work() -> None:
        traces.enter(trace)
        logging.getLogger("service.test").info("said")

    asyncio.run(work())
    logging.getLogger("service.test").info("said")
    inside, outside = written().splitlines()
    assert "trace_id" not in outside
    if log_format == "json":
        assert (json.loads(inside)["trace_id"], json.loads(inside)["span_id"]) == trace.ids
    else:
        assert re.search(f"said trace_id={trace.ids.trace_id} span_id={trace.ids.span_id}$", inside)


def test_a_name_that_is_no_unicode_is_logged_as_json_all_the_same(written: Written):
    """Names of folders may be any bytes; Python has what it cannot decode as lone surrogates."""
    configure_logs("info", "json")
    name = b"caf\xe9".decode(errors="surrogateescape")
    try:
        raise ValueError(name)
    except ValueError:
        logging.getLogger("service.test").exception("%s is refused", name)
    (line,) = written().splitlines()
    assert json.loads(line)["message"] == "caf\\udce9 is refused"
    assert json.loads(line)["exception"].endswith("ValueError: caf\\udce9")
