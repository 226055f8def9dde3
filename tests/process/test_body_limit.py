"""Bodies and heads by the bytes that really come, whatever they say of themselves; and what is no HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.raw_connection import Wire
from support.service_process import ServiceProcess
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured

LIMIT = 20_000
HEAD_LIMIT = 4096
DECODE = b'{"latents": [[0, 0, 0, 0]]}'
GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
PIECE = b"x" * (1 << 16)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    root = tmp_path_factory.mktemp("limits")
    write_tiny(root / "checkpoints", "tiny", default_for=("encode", "decode"))
    limits = {"max_body_bytes": LIMIT, "max_header_bytes": HEAD_LIMIT, "body_timeout_s": 2}
    with ServiceProcess(root / "checkpoints", root / "log", **limits) as process:
        yield process
        assert " 500 " not in process.log()
        assert "Traceback" not in process.log()


@pytest.fixture
def wire(service: ServiceProcess) -> Iterator[Wire]:
    with Wire(service) as opened:
        yield opened


def chunked(body: bytes, size: int = 1000) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 1000, LIMIT])
@pytest.mark.parametrize("length", [LIMIT - 1, LIMIT, LIMIT + 1])
def test_the_edge_is_exact_in_chunks(wire: Wire, length: int, size: int):
    wire.post("/decode", "Transfer-Encoding: chunked", body=chunked(DECODE.ljust(length), size))
    if length > LIMIT or size == 1:  # as much again is allowed for what is around the chunks
        wire.refusal(413, "body-too-large")
    else:
        assert wire.answer().status_code == 200


@pytest.mark.parametrize("length", [LIMIT - 1, LIMIT, LIMIT + 1])
def test_the_edge_is_exact_with_a_length(wire: Wire, length: int):
    wire.post("/decode", f"Content-Length: {length}", body=DECODE.ljust(length))
    assert wire.answer().status_code == (200 if length <= LIMIT else 413)


def test_a_length_beyond_the_limit_is_refused_before_the_body(wire: Wire):
    wire.post("/decode", "Content-Length: 1000000000000").refusal(413, "body-too-large")


def test_a_length_that_says_too_much_runs_out_of_time(wire: Wire):
    wire.post("/decode", f"Content-Length: {len(DECODE) + 1}", body=DECODE).refusal(408, "request-timeout")
    assert wire.is_closed()


def test_a_length_that_says_too_little_ends_the_body_and_the_connection(wire: Wire):
    answer = wire.post("/decode", "Content-Length: 10", body=DECODE).refusal(400, "bad-request")
    assert "connection" not in answer.headers
    answer = wire.refusal(400, "bad-request")
    assert answer.headers["connection"] == "close"
    assert wire.is_closed()


@pytest.mark.parametrize(("length", "goes_on"), [(LIMIT, True), (LIMIT + 1, False)])
def test_a_body_that_nobody_reads_is_passed_over_if_it_is_short(wire: Wire, length: int, goes_on: bool):
    wire.send(b"POST /encode HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/x\r\n")
    wire.send(b"Content-Length: %d\r\n\r\n%s" % (length, b"x" * length))
    answer = wire.answer()
    assert answer.status_code == (415 if goes_on else 413)
    assert ("connection" not in answer.headers) == goes_on
    if goes_on:
        assert wire.send(GET + b"\r\n").answer().status_code == 200
    else:
        assert wire.is_closed()


def test_chunks_that_nobody_reads_are_passed_over_up_to_a_limit(wire: Wire):
    wire.send(b"PUT /decode HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert wire.answer().status_code == 405
    wire.send(chunked(b"x" * LIMIT) + GET + b"\r\n")
    assert wire.answer().status_code == 200
    wire.send(b"PUT /decode HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert wire.answer().status_code == 405
    wire.send(chunked(b"x" * 3 * LIMIT))
    assert wire.is_closed()


def test_garbage_after_an_answer_is_refused(wire: Wire):
    assert wire.send(GET + b"\r\n").answer().status_code == 200
    wire.send(b"\0\0\0").refusal(400, "bad-request")
    assert wire.is_closed()


def test_without_a_length_there_is_no_body(wire: Wire):
    wire.post("/decode").refusal(400, "bad-request")


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: -1"],
        ["Content-Length: +5"],
        ["Content-Length: 0x10"],
        ["Content-Length: 5.0"],
        ["Content-Length: "],
        ["Content-Length: 5 5"],
        ["Content-Length: 340282366920938463463374607431768211456"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked, identity"],
        ["Host: there"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Broken"],
        ["Bro ken: x"],
        ["X: \0"],
    ],
)
def test_a_head_that_cannot_be_is_400(wire: Wire, headers: list[str]):
    answer = wire.post("/decode", *headers, body=b"[[1]]").refusal(400, "bad-request")
    assert answer.headers["connection"] == "close"
    assert wire.is_closed()


@pytest.mark.parametrize("body", [b"zz\r\n", b"-1\r\n", b"FFFFFFFFFFFFFFFFF\r\n", b"5\r\nabcdefgh\r\n"])
def test_chunks_that_cannot_be_are_400(wire: Wire, body: bytes):
    wire.post("/decode", "Transfer-Encoding: chunked", body=body).refusal(400, "bad-request")
    assert wire.is_closed()


@pytest.mark.parametrize(
    "said",
    [
        b"GET /health/live\r\n\r\n",
        b"GET /health/live HTTP/0.9\r\nHost: localhost\r\n\r\n",
        b"GET /health/live HTTP/2.0\r\nHost: localhost\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\n\r\n",
        b"\r\n\r\n\0\0",
        b"\x16\x03\x01\x02\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
    ],
)
def test_what_is_no_request_is_400(wire: Wire, said: bytes):
    wire.send(said).refusal(400, "bad-request")
    assert wire.is_closed()


def test_a_host_is_needed_since_http_1_1(wire: Wire):
    assert wire.send(b"GET /health/live HTTP/1.0\r\n\r\n").answer().status_code == 200


@pytest.mark.parametrize("digits", [20, 5000])
def test_a_length_of_many_digits_is_a_length(wire: Wire, digits: int):
    head = f"Content-Length: {str(len(DECODE)).zfill(digits)}"
    for _ in range(2):
        assert wire.post("/decode", head, body=DECODE).answer().status_code == (200 if digits < 100 else 431)
        if digits > 100:
            return


def test_a_request_is_answered_before_what_follows_it_is_refused(wire: Wire):
    wire.send(GET + b"\r\nnonsense\r\n\r\n")
    assert wire.answer().status_code == 200
    wire.refusal(400, "bad-request")
    assert wire.is_closed()


@pytest.mark.parametrize("length", [HEAD_LIMIT, HEAD_LIMIT + 1])
def test_the_edge_of_a_head_is_exact(wire: Wire, length: int):
    head = b"/health/liveHost: localhost\r\nX: \r\n"
    wire.send(GET + b"X: %s\r\n\r\n" % (b"y" * (length - len(head))))
    assert wire.answer().status_code == (200 if length <= HEAD_LIMIT else 431)


@pytest.mark.parametrize("piece", [b"y" * 1000, b"A: b\r\n" * 100])
def test_an_endless_head_is_431(wire: Wire, piece: bytes):
    wire.send(GET + b"X: ")
    for _ in range(100):
        wire.send(piece)
    wire.refusal(431, "headers-too-large")


def test_an_endless_target_is_431(wire: Wire):
    wire.send(b"GET /" + PIECE).refusal(431, "headers-too-large")


@pytest.mark.parametrize("forever", [b"10000\r\n%s\r\n" % PIECE, b"1\r\nx\r\n" * 1000, b"1;%s" % PIECE])
def test_endless_chunks_are_413(wire: Wire, forever: bytes):
    wire.post("/decode", "Transfer-Encoding: chunked", body=forever * 10)
    wire.refusal(413, "body-too-large")
    assert wire.is_closed()


@pytest.mark.parametrize(
    ("forever", "status", "code"),
    [(b"A: b\r\n" * 10_000, 431, "headers-too-large"), (PIECE, 413, "body-too-large")],
)
def test_endless_trailers_are_refused(wire: Wire, forever: bytes, status: int, code: str):
    wire.post("/decode", "Transfer-Encoding: chunked", body=b"1\r\nx\r\n0\r\nA: ")
    for _ in range(10):
        wire.send(forever)
    wire.refusal(status, code)
    assert wire.is_closed()


def test_what_never_ends_takes_no_memory(service: ServiceProcess, measured: Measured):
    def resident_kb() -> int:
        status = Path(f"/proc/{service.workers()[0]}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    before = resident_kb()
    sent = 0
    for start in (
        GET + b"X: ",
        b"POST /decode HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: ",
    ):
        with Wire(service) as wire:
            wire.send(start)
            for _ in range(500):  # 32 MB
                wire.send(PIECE)
                sent += len(PIECE)
    more = resident_kb() - before
    assert more < 16_000
    measured(
        6, f"exact at limit -1, +0 and +1; {sent >> 20} MiB without an end refused for {more >> 10} MiB more"
    )
