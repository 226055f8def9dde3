"""The table of docs/robustness.md: what is promised, and what the full forms of the tests measured.

python -m pytest -m chaos           measures, and keeps the figures in runs/robustness.json
python tools/robustness_table.py    prints the table
"""

import fcntl
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KEPT = Path(__file__).parent.parent / "runs" / "robustness.json"
NOT_MEASURED = "-"

ROWS = {
    1: (
        "SIGTERM with 200 in flight, 20 rounds",
        "0 of 4,000 lost or wrong; ready turns 503 within 0.5 s; exit within 10 s",
    ),
    2: (
        "hostile checkpoint: a pickle with a canary in 12 disguises, ONNX with external data, path escapes",
        "0 canaries, 0 opens outside; refused by name; other models keep serving",
    ),
    3: (
        "corrupt checkpoint: cut at 100 points, 1,000 flipped bits, manifest lies, NaN weights",
        "all refused within 1 s each; the old version keeps answering",
    ),
    4: ("cross-talk: 10,000 concurrent requests against their solo answers", "0 mixed up"),
    5: (
        "image bombs and disguised formats",
        "413/415/422, or read where only metadata is a bomb; within 100 ms, memory +64 MiB at most",
    ),
    6: ("body limit by real bytes", "exact edge; 0 5xx"),
    7: (
        'NaN, Inf, 1e400, 1e39, null, true, "1" in numbers; a model that emits NaN',
        "422 with valid JSON; no bare NaN ever leaves",
    ),
    8: ("bounds by Hypothesis, 2,000 examples", "0 5xx, each within 100 ms"),
    9: (
        "client vanishes: 10,000 requests, 30% cut at a random byte",
        "queue and in flight 0 afterwards; tasks, threads, descriptors +2 at most",
    ),
    10: ("one poisoned row in a batch of 32", "31 answers, 1 error, 100 rounds"),
    11: (
        "hot reload under load: 100 swaps in 30 s at 50 requests/s",
        "0 failures; version in the answer = its colour; a bad version leaves the old one",
    ),
    12: (
        "kill -9 in training at 200 moments",
        "state on disk valid each time; resumed weights bit-equal to the unbroken run",
    ),
    13: ("200 hostile model names", "404/422, 0 opens outside the checkpoint folder"),
    14: (
        "overload at four times capacity for 60 s",
        "goodput at least 90% of peak, refusals within 50 ms, live p99 within 100 ms",
    ),
    15: (
        "slow headers, slow bodies, 500 sockets",
        "closed by 15 s / 30 s; normal p99 at most doubled",
    ),
    16: (
        "a run that never returns; an event loop that hangs; a worker killed with -9",
        "504 at the deadline; replaced and serving again within 15 s",
    ),
    17: ("100,000 mixed requests", "resident memory +20 MiB at most after warm-up"),
    18: (
        "image zoo: EXIF 1-8, CMYK, 16-bit, RGBA, palettes, 1-bit, interlaced, progressive, ICC, animated",
        "rotations equal; a 16-bit ramp keeps 250 of 256 levels; 0 5xx",
    ),
    19: ("13,000 broken images", "0 5xx; a truncated JPEG is 422, never half grey"),
    20: ("Schemathesis over the OpenAPI document", "0 server errors, 0 undocumented answers"),
    21: ("Atheris on the image decoder and the checkpoint reader", "no foreign exceptions"),
    22: (
        "writer against reader, 1,000 saves; disk full; read-only folder",
        "0 partial reads; one clear line and a non-zero exit",
    ),
    23: (
        "health truth: loading, no models, one corrupt of three, draining, engine dead",
        "false / false / true and flagged / false / false",
    ),
    24: (
        "repeatable seeds: alone, in batches of 1 to 32, after reload and restart, on either of two workers",
        "the same bytes",
    ),
    25: (
        "surface: routes, methods and media types equal a committed list; no field takes a URL or a path",
        "0 unknown; 0 outgoing connections over the whole suite",
    ),
    26: (
        "error hygiene: every code provoked",
        "one shape, under 4 KiB, request id in answer and log, no traceback, path or class name",
    ),
    27: (
        "the dearest body of every route at its limit, one and eight at once",
        "processor time of the event loop between two turns of a 10 ms timer under 250 ms; memory within the "
        "held bytes + 72 MiB (JSON: and three copies of one text); 0 workers lost",
    ),
    28: (
        "pipelining: 800 connections, 64 KiB of requests each after an unread answer; heads in two pieces",
        "memory +128 KiB a connection at most, +16 MiB once they close; 0 answers lost or out of order",
    ),
    29: (
        "`Upgrade` with every value, method, body form and segmentation; Java's HttpClient, `curl --http2`",
        "the body is read, one answer per request",
    ),
    30: (
        "stdout and stderr closed, full, broken, not read for 60 s under load",
        "starts and serves, stops on SIGTERM within 10 s, lost lines are counted",
    ),
    31: (
        "shared memory (/dev/shm) of 64 KiB, filled later, read-only; 1,000 dead workers",
        "serves, logs it once a worker, leaves nothing",
    ),
    32: (
        "pages of another origin in a real browser: rebinding, simple posts, preflights, frames; with and "
        "without keys; allowed origins",
        "nothing runs, nothing is read; allowed ones work",
    ),
    33: (
        "a real nginx in front: stripped and kept prefix, keep-alive, chunked uploads, `Expect`, HEAD; "
        "10,000 requests through SIGTERM and reload",
        "0 failed; docs and playground work under the prefix",
    ),
    34: (
        "5,000 photographs of odd metadata (EXIF by tag and type, PNG chunks by CRC and size, profiles), "
        "2,000 cut and closed with an end marker",
        "metadata never decides; a cut file is 422",
    ),
    35: (
        "passing faults: EACCES, EIO, ENOMEM, EMFILE while reading a checkpoint, then mended",
        "serves within two scans",
    ),
    36: (
        "SIGTERM with a new connection per request at full load, 20 rounds",
        "0 of all connected lost",
    ),
}
"""What is tested, and the pass line."""
Measured = Callable[[int, str], None]


def forms(name: str, short: object, full: object) -> pytest.MarkDecorator:
    """Run a test in a short form on every push, and in its full form by `pytest -m chaos`."""
    return pytest.mark.parametrize(
        name, [pytest.param(short, id="short"), pytest.param(full, id="full", marks=pytest.mark.chaos)]
    )


def keep(row: int, test: str, figure: str, *, full: bool) -> None:
    """Keep what a test measured, in place of what it measured before; tests may run beside each other."""
    KEPT.parent.mkdir(exist_ok=True)
    with KEPT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = _kept()
        kept.setdefault(str(row), {})[test] = {"figure": figure, "full": full}
        KEPT.write_text(json.dumps(kept, indent=1))


def table() -> str:
    """Return the table in Markdown, with the figures of full forms where there are any."""
    kept = _kept()
    lines = ["| # | test | pass line | measured |", "|---|---|---|---|"]
    for row, (test, line) in ROWS.items():
        found = list(kept.get(str(row), {}).values())
        figures = [one["figure"] for one in found if one["full"]] or [one["figure"] for one in found]
        lines.append(f"| {row} | {test} | {line} | {'; '.join(figures) or NOT_MEASURED} |")
    return "\n".join(lines)


def _kept() -> dict[str, Any]:
    return json.loads(KEPT.read_bytes()) if KEPT.is_file() else {}


if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n")
