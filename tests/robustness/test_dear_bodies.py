"""The dearest body of every route: none of them keeps others waiting, or takes memory without bound."""

import gzip
import io
import itertools
import json
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from support import public_surface
from support.process_resources import MIB, forget_peak, peak_bytes, resident_bytes
from support.raw_connection import Wire
from support.service_process import ServiceProcess, StartService
from support.tiny_shipped_checkpoints import write_fashion
from tools.robustness_table import Measured, forms

LONGEST_S = 0.25
MORE_BYTES = 72 * MIB
TEXT_COPIES = 3
"""Of one text that is as large as its body: what reads JSON makes so many."""

AT_ONCE = 8
HEAD_BYTES = 32 << 10
MAX_SIGNS = 1 << 17

JSON = "application/json"
FORM = "multipart/form-data; boundary=b"
NDJSON = "application/x-ndjson"
FIELDS = {
    "/encode": "images",
    "/decode": "latents",
    "/reconstruct": "images",
    "/translate": "images",
    "/generate": "labels",
    "/interpolate": "stops",
    "/compare": "a",
    "/neighbours": "latents",
    "/v1/embeddings": "input",
    "/v1/images/generations": "prompt",
    "/v2/repository/index": "ready",
}
"""The field of a JSON body that may hold most."""
IMAGES = ("/encode", "/reconstruct", "/translate")
FORMS = (*IMAGES, "/v1/images/edits", "/v1/images/variations")
INFER = "/v2/models/fashion-vae.encode/infer"
NAMES = {
    "{name}/infer": "fashion-vae.encode/infer",
    "{name}/versions/{version}/infer": "fashion-vae.encode/versions/1/infer",
    "{model}": "fashion-vae",
    "{name}": "fashion-vae",
    "{version}": "1",
}
"""What stands in the place of a parameter of a path."""


STATUSES = {200, 307, 400, 403, 404, 405, 406, 409, 413, 415, 422, 429}


def filled(path: str) -> str:
    """Return a path with names in the place of its parameters."""
    for name, value in NAMES.items():
        path = path.replace(name, value)
    return path


class Dear(NamedTuple):
    """One request, and what makes it dear."""

    what: str
    path: str
    content_type: str
    body: bytes
    headers: tuple[str, ...] = ()


def values(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield JSON values of about `size` bytes, or of as many values as are let in."""
    signs = min(MAX_SIGNS, size // 4) - 64
    yield "lists", b"[" + b"[]," * (signs // 2) + b"[]]"
    yield "objects", b"[" + b'{"a":1},' * (signs // 3) + b"1]"
    yield "lists of numbers", b"[" + b"[1.5]," * (signs // 2) + b"[1.5]]"
    yield "many members", b"{" + b",".join(b'"%d":1' % i for i in range(signs // 2)) + b"}"
    yield "nested lists", b"[" * 190 + b"1," * (signs - 400) + b"1" + b"]" * 190
    yield "long numbers", b"[" + b"1" * 4000 + (b"," + b"1" * 4000) * (size // 4001) + b"]"
    yield "escapes", b'["' + b"\\/" * (size // 2) + b'"]'
    yield "one text", b'"' + b"A" * size + b'"'
    yield "texts", b'["' + b'AAAA","' * (signs - 64) + b'"]'
    yield "spaces", b"[" + b" " * size + b"]"


def json_bodies(size: int, path: str, field: str) -> Iterator[Dear]:
    for what, value in values(size - 256):
        for name in (field, "unknown"):
            yield Dear(f"{what} as {name}", path, JSON, b'{"%s":%s}' % (name.encode(), value))


def part(content: bytes, name: str, headers: bytes = b"") -> bytes:
    named = b'Content-Disposition: form-data; name="%s"' % name.encode()
    return b"--b\r\n%s\r\n%s\r\n%s\r\n" % (named, headers, content)


def forms_of_images(size: int, path: str) -> Iterator[Dear]:
    room = size - 512
    lists = b"[" + b"[]," * (room // 3 - 1) + b"[]]"
    for what, body in {
        "an option of lists": part(lists, "seed"),
        "an option of text": part(b"\xc3\xa9" * (room // 2), "model"),
        "line breaks": part(b"\r\n" * (room // 2), "images"),
        "almost boundaries": part(b"\r\n--" * (room // 4), "images"),
        "a long header": part(b"x", "images", b"A: " + b"b" * room + b"\r\n"),
        "many headers": part(b"x", "images", b"A: b\r\n" * (room // 6)),
        "many parts": part(b"x", "images") * (room // 70),
        "many options": part(b"1", "a") * (room // 70),
        "many empty parts": part(b"", "images") * (room // 70),
        "text before it": b"\r\n--" * (room // 4) + b"\r\n" + part(b"x", "images"),
        "data URL": part(b"data:;base64," + b"A" * room, "images"),
        "data URL of line breaks": part(b"data:;base64," + b"\n" * room, "images"),
        "a file of another name": part(b"x" * room, "mask"),
        "base64": part(b"A" * room, "images", b"Content-Transfer-Encoding: base64\r\n"),
    }.items():
        yield Dear(f"form: {what}", path, FORM, body + b"--b--\r\n")


def lines_of_images(size: int, path: str) -> Iterator[Dear]:
    line = b'{"image":"%s"}\n'
    yield Dear("lines: empty", path, NDJSON, b"\n" * size)
    yield Dear("lines: blank", path, NDJSON, b" \n" * (size // 2))
    yield Dear("lines: of nothing", path, NDJSON, (line % b"") * (size // len(line)))
    yield Dear("lines: one", path, NDJSON, line % (b"A" * (size - 64)))
    yield Dear("lines: numbers", path, NDJSON, b"1\n" * (size // 2))


def files_of_images(size: int, path: str) -> Iterator[Dear]:
    room = size - 256
    png = b"\x89PNG\r\n\x1a\n"
    chunk = b"\0\0\0\0teXt" + zlib.crc32(b"teXt").to_bytes(4, "big")
    yield Dear("png: chunks", path, "image/png", png + chunk * (room // len(chunk)))
    yield Dear("jpeg: markers", path, "image/jpeg", b"\xff\xd8" + b"\xff\xe0\0\x02" * (room // 4))
    yield Dear("jpeg: fill", path, "image/jpeg", b"\xff\xd8" + b"\xff" * room)
    yield Dear("webp", path, "image/webp", b"RIFF" + b"\0" * 4 + b"WEBP" + b"VP8X" * (room // 4))
    shape = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({room}, 1, 1), }}\n"
    header = b"\x93NUMPY\x01\x00" + len(shape).to_bytes(2, "little") + shape.encode()
    yield Dear("npy: many", path, "application/x-npy", header + b"\0" * room)
    yield Dear("zip: entries", path, "application/zip", b"PK\x01\x02" * (room // 4))
    yield Dear("zip: ends", path, "application/zip", b"PK\x05\x06" * (room // 4))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("bomb.png", b"\0" * size)
    yield Dear("zip: inflating", path, "application/zip", packed.getvalue())


def tensors(size: int) -> Iterator[Dear]:
    def infer(what: str, head: dict[str, object], rest: bytes, *, packed: bool) -> Dear:
        told = json.dumps(head).encode()
        length = f"Inference-Header-Content-Length: {len(told)}"
        coding = ("Content-Encoding: gzip",) if packed else ()
        body = gzip.compress(told + rest, 9) if packed else told + rest
        return Dear(f"v2: {what}, {packed=}", INFER, "application/octet-stream", body, (length, *coding))

    room = (size - 512) // 4 * 4
    binary = {"parameters": {"binary_data_size": room}}
    for packed in (False, True):
        for count in (1, 256, room // 4):
            strings = {"name": "images", "datatype": "BYTES", "shape": [count], **binary}
            yield infer(f"{count} strings", {"inputs": [strings]}, b"\0" * room, packed=packed)
        pixels = {"name": "images", "datatype": "UINT8", "shape": [room, 1, 1], **binary}
        yield infer("pixels", {"inputs": [pixels]}, b"\0" * room, packed=packed)
    for what, value in values(size - 512):
        told = b'{"inputs":[{"name":"images","datatype":"FP32","shape":[1,1],"data":%s}]}' % value
        yield Dear(f"v2: {what}", INFER, JSON, told)
        yield Dear(f"v2: {what}, named", INFER, JSON, b'{"inputs":[],"parameters":{"seed":%s}}' % value)


def packed_bodies(size: int) -> Iterator[Dear]:
    coding = ("Content-Encoding: gzip",)
    for what, value in values(size - 256):
        body = gzip.compress(b'{"labels":%s}' % value, 6)
        yield Dear(f"packed: {what}", "/generate", JSON, body, coding)
    for length in (size, 64 * size):
        yield Dear("packed: zeros", "/encode", "image/png", gzip.compress(bytes(length), 9), coding)


def latent_bytes(size: int) -> Iterator[Dear]:
    for operation in ("decode", "encode"):
        path = f"/remote-vae/fashion-vae/{operation}?dtype=bfloat16&shape={size // 2}&shape=1"
        yield Dear(f"remote: {operation}", path, "tensor/binary", b"\0" * (size // 2 * 2))


def bodies(size: int) -> Iterator[Dear]:
    """Yield what is sent; each is made when its turn comes."""
    for path, field in FIELDS.items():
        yield from json_bodies(size, path, field)
    for path in FORMS:
        yield from forms_of_images(size, path)
    for path in IMAGES:
        yield from lines_of_images(size, path)
        yield from files_of_images(size, path)
    yield from tensors(size)
    yield from latent_bytes(size)
    yield from packed_bodies(size)


def ask(service: ServiceProcess, data: bytes, statuses: list[int]) -> None:
    with Wire(service) as wire:
        wire.socket.settimeout(120)
        wire.send(data)
        head = wire.socket.recv(1 << 12)
        statuses.append(int(head.split(b" ", 2)[1]) if head else 0)


def ask_at_once(service: ServiceProcess, data: bytes, count: int) -> list[int]:
    """Send a request so many times at once and return the statuses of the answers."""
    statuses: list[int] = []
    threads = [threading.Thread(target=ask, args=(service, data, statuses)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def request(dear: Dear) -> bytes:
    lines = [f"POST {dear.path} HTTP/1.1", "Host: localhost", "Connection: close", *dear.headers]
    lines += [f"Content-Type: {dear.content_type}", f"Content-Length: {len(dear.body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + dear.body


class Watched:
    """A service, and what the dearest request did to it so far."""

    def __init__(self, service: ServiceProcess, held_bytes: int) -> None:
        self.service = service
        self.held_bytes = held_bytes
        self.workers = service.workers()
        self.longest_s, self.slowest = 0.0, ""
        self.sent = 0

    def send(self, what: str, data: bytes, count: int, more_bytes: int = MORE_BYTES) -> None:
        before = {pid: resident_bytes(pid) for pid in self.workers}
        for pid in self.workers:
            forget_peak(pid)
        self.service.pace_s()
        statuses = ask_at_once(self.service, data, count)
        took_s = self.service.pace_s()
        assert len(statuses) == count, what
        assert set(statuses) <= STATUSES, (what, statuses)
        more = max(peak_bytes(pid) - before[pid] for pid in self.workers)
        assert more < self.held_bytes + more_bytes, (what, count, more >> 20)
        assert took_s < LONGEST_S, (what, count, took_s)
        if took_s > self.longest_s:
            self.longest_s, self.slowest = took_s, what
        self.sent += count


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@forms("size", short=1 << 20, full=32 << 20)
def test_the_dearest_bodies_keep_nobody_waiting(
    tmp_path: Path, start_service: StartService, workers: int, size: int, measured: Measured
):
    write_fashion(tmp_path / "checkpoints")
    held_bytes = AT_ONCE * size
    service = start_service(
        workers=workers, max_body_bytes=size, max_held_bytes=held_bytes, variables={"AUDIT_PACE": "yes"}
    )
    watched = Watched(service, held_bytes)
    for dear in bodies(size):
        for count in (1, AT_ONCE):
            copied = TEXT_COPIES * size if dear.content_type in (JSON, NDJSON) else 0
            watched.send(f"{dear.path} {dear.what}", request(dear), count, MORE_BYTES + copied)
    assert service.workers() == watched.workers
    measured(
        27,
        f"{workers} worker(s): {watched.sent:,} bodies of up to {size >> 20} MiB, 1 and {AT_ONCE} at once: "
        f"{watched.longest_s * 1e3:.0f} ms at most ({watched.slowest}); 0 workers lost",
    )


def test_the_dearest_heads_keep_nobody_waiting(
    tmp_path: Path, start_service: StartService, measured: Measured
):
    write_fashion(tmp_path / "checkpoints")
    watched = Watched(start_service(variables={"AUDIT_PACE": "yes"}), 0)
    routes = [line.split()[:2] for line in public_surface.lines() if not line.startswith("MOUNT")]
    heads: dict[str, Callable[[str], tuple[str, str]]] = {
        "query": lambda path: (f"{path}?{'a&' * 15_000}", ""),
        "headers": lambda path: (path, "A: b\r\n" * 5_000),
        "accept": lambda path: (path, f"Accept: {'a/b;q=0.1,' * 3_000}\r\n"),
        "numbers": lambda path: (f"{path}?seed={'1' * 15_000}", f"X-Request-Timeout-S: {'9' * 15_000}\r\n"),
    }
    for (method, path), (what, head) in itertools.product(routes, heads.items()):
        target, more = head(filled(path))
        data = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n".encode()
        assert len(data) < HEAD_BYTES
        watched.send(f"{method} {path}: {what}", data, AT_ONCE)
    measured(
        27,
        f"{watched.sent:,} heads of up to {HEAD_BYTES >> 10} KiB for {len(routes)} routes: "
        f"{watched.longest_s * 1e3:.0f} ms at most ({watched.slowest})",
    )


def test_every_route_that_reads_a_body_is_asked():
    posts = {line.split()[1] for line in public_surface.lines() if line.startswith("POST ")}
    reading = {path for path in posts if "/admin/" not in path and not path.endswith(("/load", "/unload"))}
    asked = {dear.path.partition("?")[0] for dear in bodies(1 << 12)}
    assert {filled(path).replace("/versions/1", "") for path in reading} <= asked
