"""The log: one record is one line, for people or as JSON, with the trace of its request.

Nobody waits for a line to be written: a log that nobody reads must not stop the service.
"""

from __future__ import annotations

import logging
import sys
import time

import orjson

from service.observability import metrics, traces
from service.observability.line_writer import LineWriter


def _ids() -> dict[str, str]:
    """Return what leads from a record to the trace of the request that it is about."""
    trace = traces.current()
    return {} if trace is None else trace.ids._asdict()


class _LineFormatter(logging.Formatter):
    """One record, one line: nothing that is logged can look like another record."""

    converter = time.gmtime  # type: ignore[assignment]

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record).replace("\r", "\\r").replace("\n", "\\n")
        return " ".join([line, *(f"{name}={value}" for name, value in _ids().items())])


class _JsonFormatter(_LineFormatter):
    """One record, one JSON object; what a record says of a request are members of their own."""

    def format(self, record: logging.LogRecord) -> str:
        members = {
            "time": f"{self.formatTime(record, self.datefmt)}.{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "process": record.process,
            "logger": record.name,
            "message": _as_unicode(record.getMessage()),
            **getattr(record, "request", {}),
            **_ids(),
        }
        if record.exc_info:
            members["exception"] = _as_unicode(self.formatException(record.exc_info))
        return orjson.dumps(members).decode()


def _as_unicode(text: str) -> str:
    """Escape what JSON cannot hold: a file's name may be any bytes; standard error escapes them."""
    return text.encode(errors="backslashreplace").decode()


LINE = "%(asctime)s.%(msecs)03dZ %(levelname)s %(process)d %(name)s %(message)s"
FORMATTERS: dict[str, type[_LineFormatter]] = {"line": _LineFormatter, "json": _JsonFormatter}


class _LineHandler(logging.Handler):
    """Hands records on as lines, made where they are logged: later their request is no longer known."""

    def __init__(self) -> None:
        super().__init__()
        self._writer = LineWriter(sys.stderr)
        self._counted = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - what is logged wrongly fails nobody, as with the library's handlers
            self.handleError(record)
        else:
            self._writer.write(line)

    def close(self) -> None:
        self._writer.close()
        super().close()

    def count_lost(self) -> None:
        lost = self._writer.lost
        metrics.LOST_LOG_LINES.inc(lost - self._counted)
        self._counted = lost


def configure_logs(level: str, log_format: str) -> None:
    """Send log lines of at least `level` to standard error, in one of `FORMATTERS`; once in every process."""
    handler = _LineHandler()
    handler.setFormatter(FORMATTERS[log_format](LINE, datefmt="%Y-%m-%dT%H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def count_lost_lines() -> None:
    """Show in the metrics how many lines of this process were lost."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _LineHandler):
            handler.count_lost()
