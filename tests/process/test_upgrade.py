"""Offers to upgrade, which a server may ignore (RFC 9110, section 7.8): the request is answered as it is."""

import itertools
import json
import random
import subprocess
from collections.abc import Iterator

import pytest

from support.raw_connection import Wire
from support.service_process import ServiceProcess
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured, forms

BODY = b'{"latents": [[0, 0, 0, 0]]}'
OFFERS = ("h2c", "websocket", "TLS/1.0", "HTTP/2.0, h2c", "IRC/6.9", "x", "", "H2C")
METHODS = {"POST": 200, "GET": 405, "PUT": 405, "DELETE": 405, "PATCH": 405, "OPTIONS": 204}
NEXT = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: next\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: smuggled\r\n\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    root = tmp_path_factory.mktemp("upgrade")
    write_tiny(root / "checkpoints", "tiny", default_for=("decode",))
    with ServiceProcess(root / "checkpoints", root / "log") as process:
        yield process


def request(method: str, offer: str, body: bytes, *, is_chunked: bool) -> bytes:
    coded = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if is_chunked else body
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
    lines = [
        f"{method} /decode HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        "X-Request-Id: first",
        "Connection: keep-alive, Upgrade, HTTP2-Settings",
        f"Upgrade: {offer}",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
        length,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + coded


def pieces(data: bytes, cuts: int, dice: random.Random) -> list[bytes]:
    places = sorted({dice.randrange(1, len(data)) for _ in range(cuts)})
    return [data[start:end] for start, end in itertools.pairwise([0, *places, len(data)])]


@forms("rounds", short=3, full=40)
def test_an_offer_to_upgrade_is_ignored(service: ServiceProcess, rounds: int, measured: Measured):
    dice = random.Random(0)
    answers = 0
    for offer, method, is_chunked, cuts in itertools.product(OFFERS, METHODS, (False, True), range(rounds)):
        with Wire(service) as wire:
            for piece in pieces(request(method, offer, BODY, is_chunked=is_chunked) + NEXT, cuts, dice):
                wire.send(piece)
            first, second = wire.answer(), wire.answer()
        asked = f"{method} with {offer!r}, {is_chunked=}, {cuts} cuts"
        assert (first.status_code, first.headers["x-request-id"]) == (METHODS[method], "first"), asked
        assert (second.status_code, second.headers["x-request-id"]) == (200, "next"), asked
        answers += 2
    assert "pip install" not in service.log()  # uvicorn's advice for those who want WebSockets
    measured(29, f"{answers:,} requests around {len(OFFERS)} offers: each answered once, bodies read")


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("cut", [0, 1, 100])
def test_a_body_after_an_offer_is_never_a_request(service: ServiceProcess, is_chunked: bool, cut: int):
    whole = request("POST", "h2c", SMUGGLED, is_chunked=is_chunked)
    head = whole.index(b"\r\n\r\n") + 4
    with Wire(service) as wire:
        wire.send(whole[: head + cut]).send(whole[head + cut :] + NEXT)
        wire.refusal(400, "bad-request")
        assert wire.answer().headers["x-request-id"] == "next"


def test_a_tunnel_is_refused_and_its_bytes_are_no_requests(service: ServiceProcess):
    for target in (b"/decode", b"example.com:443"):
        with Wire(service) as wire:
            wire.send(b"CONNECT %s HTTP/1.1\r\nHost: localhost\r\n\r\n%s" % (target, SMUGGLED))
            assert wire.answer().status_code in (400, 405)
            assert wire.is_closed()


@pytest.mark.parametrize("offer", ["--http2", "--http1.1"])
def test_curl_that_offers_http_2_is_answered(service: ServiceProcess, curl: str, offer: str):
    body = ["-H", "content-type: application/json", "-d", BODY.decode()]
    told = subprocess.run(
        [curl, "-sS", "--noproxy", "*", offer, *body, f"{service.url}/decode"],
        capture_output=True,
        check=True,
        timeout=20,
    )
    assert json.loads(told.stdout)["model"] == "tiny"
