"""Every error there is, provoked over HTTP: one shape, small, its id in the log, nothing of the inside."""

import base64
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from httpx import Client, Response

from service import errors
from service.errors import ServiceError
from support.image_files import file, photo
from support.problem_json import check_problem
from support.process_resources import shared_folder
from support.service_process import ServiceProcess, wait_until
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured

SLOW_MS = 200
IMAGE = base64.b64encode(file(photo(20, 20))).decode()
HOSTILE = "<script>alert(1)</script>{{7*7}}%00\r\n/etc/passwd"


class Services:
    """The services that it takes: small, with keys, without models, with a window that is broken."""

    def __init__(
        self, small: ServiceProcess, keyed: ServiceProcess, empty: ServiceProcess, broken: ServiceProcess
    ):
        self.small, self.keyed, self.empty, self.broken = small, keyed, empty, broken


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    root = tmp_path_factory.mktemp("errors")
    write_tiny(root / "checkpoints", "tiny", default_for=("encode", "decode"), reference=("a", "b"))
    write_tiny(
        root / "checkpoints", "slow", operations=("generate",), default_for=("generate",), slow_ms=SLOW_MS
    )
    (root / "nothing").mkdir()
    (root / "key").write_text("secret")
    (root / "admin").write_text("admin-secret")
    limits = {
        "max_body_bytes": 20_000,
        "max_header_bytes": 10_000,
        "max_count": 4,
        "max_images": 4,
        "queue_rows": 4,
        "body_timeout_s": 0.2,
    }
    keys = {"api_keys_file": root / "key", "admin_key_file": root / "admin"}
    with (
        ServiceProcess(root / "checkpoints", root / "small.log", **limits) as small,
        ServiceProcess(root / "checkpoints", root / "keyed.log", **keys) as keyed,
        ServiceProcess(root / "nothing", root / "empty.log") as empty,
        ServiceProcess(root / "checkpoints", root / "broken.log", drift_rows=10) as broken,
    ):
        spoil_window(broken)
        yield Services(small, keyed, empty, broken)


def spoil_window(service: ServiceProcess) -> None:
    """Leave a file among the latest latents that cannot be read, as a broken disk might."""
    with service.client() as client:
        assert client.post("/encode", json={"images": [IMAGE]}).status_code == 200
    (window,) = (shared_folder(service.workers()[0]) / "drift").iterdir()
    window.with_suffix(".9").write_bytes(b"\x7f" * 15)


def post(path: str, **options: object) -> Callable[[Client], Response]:
    return lambda client: client.post(path, **options)  # type: ignore[arg-type]


def overfill(client: Client) -> Response:
    """Ask for more than may wait, and return one of the refusals."""

    def draw(seed: int) -> Response:
        return client.post("/generate", json={"count": 4, "seed": seed})

    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(draw, range(8)))
    return next(answer for answer in answers if answer.status_code != 200)


def unfinished(client: Client) -> Response:
    """Send a body that does not end in the time for it."""

    def body() -> Iterator[bytes]:
        yield b"{"
        time.sleep(1)

    return client.post("/decode", content=body(), headers={"content-type": "application/json"})


def late(client: Client) -> Response:
    return client.post("/generate", json={}, headers={"x-request-timeout-s": "0.02"})


PROVOKED: list[tuple[type[ServiceError], str, Callable[[Client], Response]]] = [
    (errors.BadRequest, "small", post("/decode", content=b"{", headers={"content-type": "application/json"})),
    (
        errors.BadRequest,
        "small",
        post("/encode", content=b"x", headers={"content-type": "application/x-npy"}),
    ),
    (errors.Unauthorized, "keyed", post("/decode", json={}, headers={"x-api-key": HOSTILE[:25]})),
    (errors.Forbidden, "keyed", post("/admin/models/tiny/load", headers={"x-api-key": "secret"})),
    (errors.Forbidden, "small", post("/decode", json={}, headers={"origin": HOSTILE[:25]})),
    (errors.WrongHost, "small", lambda client: client.get("/models", headers={"host": "other.example"})),
    (errors.NoSuchRoute, "small", lambda client: client.get(f"/{quote(HOSTILE)}")),
    (errors.NoSuchRoute, "small", lambda client: client.get("/" + "a" * 8000)),
    (errors.UnknownModel, "small", post("/decode", json={"model": HOSTILE, "latents": [[0]]})),
    (errors.UnknownModel, "small", lambda client: client.get(f"/models/{quote(HOSTILE.replace('/', ''))}")),
    (errors.MethodNotAllowed, "small", lambda client: client.delete("/decode")),
    (errors.NotAcceptable, "small", post("/decode", json={}, headers={"accept": "text/html"})),
    (errors.RequestTimeout, "small", unfinished),
    (errors.HeadersTooLarge, "small", post("/decode", json={}, headers={"x-long": HOSTILE[:25] * 1000})),
    (errors.OperationNotOffered, "small", post("/decode", json={"model": "slow", "latents": [[0]]})),
    (errors.BodyTooLarge, "small", post("/decode", content=bytes(20_001))),
    (errors.UnsupportedMediaType, "small", post("/decode", content=b"", headers={"content-type": "a/b"})),
    (errors.InvalidField, "small", post("/decode", json={HOSTILE: HOSTILE})),
    (errors.InvalidField, "small", post("/generate", json={"label": HOSTILE})),
    (
        errors.InvalidField,
        "small",
        post("/encode", content=file(photo(8, 8))[:60], headers={"content-type": "image/png"}),
    ),
    (errors.QueueFull, "small", overfill),
    (errors.InferenceFailed, "small", post("/decode", json={"latents": [[3e38] * 4]})),
    (errors.DeadlineExceeded, "small", late),
    (errors.NotReady, "empty", post("/decode", json={"latents": [[0]]})),
    (errors.NotReady, "empty", lambda client: client.get("/health/ready")),
    (ServiceError, "broken", lambda client: client.get("/models/tiny/drift")),
]


@pytest.mark.parametrize("number", range(len(PROVOKED)), ids=lambda number: PROVOKED[number][0].code)
def test_every_error_has_the_one_shape_and_its_id_in_the_log(services: Services, number: int):
    error, where, provoke = PROVOKED[number]
    service: ServiceProcess = getattr(services, where)
    with service.client() as client:
        answer = provoke(client)
    problem = check_problem(answer, error.status, error.code)
    assert problem["title"] == error.title
    for word in ("script", "passwd", "7*7", error.__name__ + "'", "site-packages", str(Path.cwd())):
        assert word not in answer.text
    told = rf" {problem['request_id']} .*\b{error.status} "
    wait_until(lambda: re.search(told, service.log()), "it is in the log")


def test_every_error_is_provoked(measured: Measured):
    ladder = {ServiceError, *ServiceError.__subclasses__()}
    assert {error for error, _, _ in PROVOKED} == ladder
    measured(26, f"{len(ladder)} codes provoked in {len(PROVOKED)} ways, all as they should be")


def test_a_failure_is_told_in_the_log_and_nowhere_else(services: Services):
    answer = services.broken.get("/models/tiny/drift")
    assert answer.status_code == 500
    told = rf"ERROR .*{answer.json()['request_id']} GET failed.*\n"
    wait_until(lambda: re.search(told, services.broken.log()), "it is in the log")
    failed = re.search(told, services.broken.log())
    assert failed
    assert "Traceback" in failed[0]
    assert failed[0].count("\n") == 1
    assert services.broken.get("/health/ready").status_code == 200
