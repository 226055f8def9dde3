"""Loading and unloading by name: for the admin alone, and followed by every worker."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.problem_json import check_problem
from support.service_process import ServiceProcess, StartService, wait_until
from support.single_worker import PATIENT, only
from support.tiny_checkpoints import write_tiny

DECODE = {"latents": [[0.0, 0.0, 0.0, 0.0]], "model": "tiny"}
ADMIN = {"X-API-Key": "admin-secret"}
CONNECTIONS = 12
ANSWERED_WITHIN_S = 2

Start = Callable[..., ServiceProcess]
both = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture
def start(tmp_path: Path, start_service: StartService) -> Start:
    """Start services on two models, with an admin key."""
    write_tiny(tmp_path / "checkpoints", "tiny", default_for=("decode",))
    write_tiny(tmp_path / "checkpoints", "other", operations=("generate",), default_for=("generate",))
    (tmp_path / "admin").write_text("admin-secret\n")
    (tmp_path / "keys").write_text("user-secret\nsecond-secret\n")

    def with_key(**settings: Any) -> ServiceProcess:
        return start_service(admin_key_file=tmp_path / "admin", **settings)

    return with_key


def order(service: ServiceProcess, verb: str, name: str = "tiny", **headers: str) -> httpx.Response:
    with service.client() as client:
        return client.post(f"/admin/models/{name}/{verb}", headers=headers or ADMIN)


def statuses(service: ServiceProcess) -> set[int]:
    """Return what connections of their own are answered, whichever worker takes them."""
    found = set()
    for _ in range(CONNECTIONS):
        with service.client() as client:
            found.add(client.post("/decode", json=DECODE).status_code)
    return found


def state(service: ServiceProcess) -> tuple[str, int]:
    model = service.get("/models/tiny").json()
    return model["state"], model["version"]


@both
def test_an_unloaded_name_serves_nowhere_until_it_is_loaded(start: Start, workers: int):
    service = start(workers=workers)
    answer = order(service, "unload")
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["reason"]) == ("unloaded", "it was unloaded")
    assert statuses(service) == {404}
    assert state(service) == ("unloaded", 1)
    assert service.get("/health/ready").json()["serving"] == ["other"]
    answer = order(service, "load")
    assert (answer.status_code, answer.json()["state"]) == (200, "serving")
    assert statuses(service) == {200}


def test_an_order_is_only_answered_once_every_worker_has_followed(start: Start):
    service = start(workers=2, **PATIENT)
    with only(service, service.workers()[0]):
        answer = order(service, "unload", **ADMIN, **{"X-Request-Timeout-S": "1"})
    check_problem(answer, 504, "deadline-exceeded")
    assert order(service, "unload").status_code == 200
    assert statuses(service) == {404}


@pytest.mark.parametrize("path", ["/admin/models/tiny/unload", "/v2/repository/models/tiny/unload"])
def test_an_order_is_answered_soon_while_a_worker_hangs_and_holds_once_it_goes_on(start: Start, path: str):
    service = start(workers=2, **PATIENT)
    with only(service, service.workers()[0]) as client:
        started_s = time.monotonic()
        answer = client.post(path, headers=ADMIN)
        assert time.monotonic() - started_s < ANSWERED_WITHIN_S
        assert answer.status_code == 503
        assert "A worker does not respond" in answer.text
        assert client.post("/decode", json=DECODE).status_code == 200
    wait_until(lambda: statuses(service) == {404}, "it holds")


def test_an_order_holds_everywhere_once_a_worker_that_hangs_is_killed(start: Start):
    service = start(workers=2, stuck_run_s=1, stuck_worker_s=3)
    os.kill(service.workers()[1], signal.SIGSTOP)
    with service.client(headers=ADMIN) as client:
        assert client.post("/admin/models/tiny/unload").status_code == 503
        wait_until(lambda: client.post("/decode", json=DECODE).status_code == 404, "it holds", 15)
    wait_until(lambda: len(service.workers()) == 3, "it is replaced", 15)
    assert statuses(service) == {404}


@both
def test_a_replaced_worker_serves_no_unloaded_name(start: Start, workers: int):
    service = start(workers=workers)
    order(service, "unload")
    os.kill(service.workers()[0], signal.SIGKILL)
    wait_until(lambda: len(service.workers()) == workers + 1, "it is replaced", 15)
    assert statuses(service) == {404}
    assert order(service, "load").status_code == 200
    assert statuses(service) == {200}


def test_a_new_version_does_not_load_an_unloaded_name(tmp_path: Path, start: Start):
    service = start()
    order(service, "unload")
    write_tiny(tmp_path / "checkpoints", "tiny", 2)
    wait_until(lambda: service.get("/models/tiny").json()["versions"] == [2, 1], "it is seen")
    assert state(service) == ("unloaded", 2)
    order(service, "load")
    assert state(service) == ("serving", 2)


@both
def test_where_nobody_polls_loading_looks_for_new_versions(tmp_path: Path, start: Start, workers: int):
    service = start(workers=workers, reload_interval_s=0)
    for name in ("tiny", "other", "third"):
        write_tiny(tmp_path / "checkpoints", name, 2)
    assert order(service, "load").json()["version"] == 2
    assert order(service, "load", "third").json()["version"] == 2
    for _ in range(CONNECTIONS):
        found = {model["name"]: model["version"] for model in service.get("/models").json()["models"]}
        assert found == {"tiny": 2, "other": 1, "third": 2}


def test_loading_what_is_refused_says_why(tmp_path: Path, start: Start):
    service = start()
    order(service, "unload")
    (tmp_path / "checkpoints" / "tiny" / "1" / "decode.onnx").write_bytes(b"broken")
    answer = order(service, "load").json()
    assert answer["state"] == "refused"
    assert "decode.onnx does not match" in answer["reason"]


def test_with_everything_unloaded_it_is_not_ready(start: Start):
    service = start()
    for name in ("tiny", "other"):
        order(service, "unload", name)
    check_problem(service.get("/health/ready"), 503, "not-ready")
    assert order(service, "load").status_code == 200
    assert service.get("/health/ready").status_code == 200


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_an_unknown_name_is_404(start: Start, verb: str):
    service = start()
    for name in ("nowhere", "Tiny", "tiny@1", "..", "%2e%2e", "tiny%2f1", "%00", "x" * 65, "t\u00efny"):
        answer = order(service, verb, name)
        assert answer.status_code == 404, name
        assert answer.json()["code"] in ("unknown-model", "no-such-route")


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_without_an_admin_key_the_routes_are_off(tmp_path: Path, start_service: StartService, verb: str):
    write_tiny(tmp_path / "checkpoints", "tiny", default_for=("decode",))
    service = start_service()
    for headers in (ADMIN, {"X-API-Key": ""}, {"Authorization": "Bearer"}):
        check_problem(order(service, verb, **headers), 403, "forbidden")
    assert statuses(service) == {200}


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_only_the_admin_key_opens_them(tmp_path: Path, start: Start, verb: str):
    service = start(api_keys_file=tmp_path / "keys")
    check_problem(order(service, verb, **{"X-Nothing": "x"}), 401, "unauthorized")
    check_problem(order(service, verb, **{"X-API-Key": "admin-secre"}), 401, "unauthorized")
    check_problem(order(service, verb, **{"X-API-Key": "user-secret"}), 403, "forbidden")
    assert order(service, verb, Authorization="Bearer admin-secret").status_code == 200


def test_keys_are_never_written_down(tmp_path: Path, start: Start):
    service = start(workers=2, api_keys_file=tmp_path / "keys", log_level="debug")
    for key in ("user-secret", "admin-secret", "wrong-secret"):
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
            with service.client(headers=headers) as client:
                answers = [client.get("/models"), client.get("/metrics"), client.get(f"/{key}")]
                answers.append(client.post("/admin/models/tiny/load"))
            assert all(key.encode() not in answer.content for answer in answers)
    service.stop()
    assert service.wait() == 0
    assert "secret" not in service.log()
