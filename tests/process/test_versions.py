"""Versions of a name side by side, and a change of version that nobody sees go back.

Every version paints a colour of its own.
"""

import json
import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.api import responses
from service.client import Client
from support import doc_examples
from support.coloured_versions import DECODE, colour_of, painted, write_bad_version, write_version
from support.problem_json import check_problem
from support.service_process import ServiceProcess, StartService, wait_until
from support.tiny_checkpoints import write_tiny

CONNECTIONS = 12
both = pytest.mark.parametrize("workers", [1, 2])


def decode(client: httpx.Client, model: str | None = None) -> httpx.Response:
    return client.post("/decode", json=DECODE | ({"model": model} if model else {}))


def version(client: httpx.Client, model: str | None = None) -> int:
    """Return which version answers; what it paints has to be its own colour."""
    answer = decode(client, model)
    assert answer.status_code == 200, answer.text
    found: int = answer.json()["version"]
    assert painted(answer.json()["images"][0]) == found
    return found


def versions(service: ServiceProcess, model: str | None = None) -> set[int]:
    """Return which versions answer on connections of their own, whichever worker takes them."""
    found = set()
    for _ in range(CONNECTIONS):
        with service.client() as client:
            found.add(version(client, model))
    return found


def shown(service: ServiceProcess, model: str = "tiny") -> dict[str, Any]:
    found: dict[str, Any] = service.get(f"/models/{model}").json()
    return found


@both
def test_versions_that_are_kept_answer_by_their_number(
    tmp_path: Path, start_service: StartService, workers: int
):
    for number in (1, 2, 3):
        write_version(tmp_path, number)
    service = start_service(workers=workers, keep_versions=2)
    assert f"{service.url} serves tiny@3, tiny@2\n" in service.log()
    assert versions(service) == versions(service, "tiny") == versions(service, "tiny@3") == {3}
    assert versions(service, "tiny@2") == {2}
    with service.client() as client:
        problem = check_problem(decode(client, "tiny@1"), 404, "unknown-model")
        assert problem["detail"] == "That version of tiny is not being served; versions 3, 2 are."
    with Client(service.url) as client:
        assert client.decode(np.zeros((1, 4)), model="tiny@2").version == 2
    new = shown(service)
    responses.ModelResponse.model_validate(new)
    assert (new["version"], new["versions"], new["served"]) == (3, [3, 2, 1], [3, 2])
    assert new["default_for"] == ["decode"]
    old = shown(service, "tiny@2")
    assert (old["version"], old["served"], old["state"], old["default_for"]) == (2, [3, 2], "serving", [])
    check_problem(service.get("/models/tiny@1"), 404, "unknown-model")
    assert service.get("/models/tiny@2/preview").status_code == 200
    assert [model["version"] for model in service.get("/models").json()["models"]] == [3]


def test_other_protocols_have_every_version_that_is_kept(tmp_path: Path, start_service: StartService):
    write_version(tmp_path, 1)
    for number in (2, 3):
        write_version(tmp_path, number, operations=("decode", "generate"))
    service = start_service(keep_versions=3)
    latents = {"name": "latents", "datatype": "FP32", "shape": [1, 4], "data": [0.0] * 4}
    with service.client() as client:
        assert client.get("/v2/models/tiny.decode").json()["versions"] == ["3", "2", "1"]
        assert client.get("/v2/models/tiny.generate").json()["versions"] == ["3", "2"]
        for number in (1, 2, 3):
            path = f"/v2/models/tiny.decode/versions/{number}"
            assert client.get(f"{path}/ready").status_code == 200
            answer = client.post(f"{path}/infer", json={"inputs": [latents]}).json()
            assert answer["model_version"] == str(number)
            assert answer["outputs"][0]["data"][0] == pytest.approx(colour_of(number))
        unknown = client.get("/v2/models/tiny.decode/versions/4")
        assert unknown.status_code == 404
        assert "versions 3, 2, 1 are" in unknown.json()["error"]
        listed = {(one["name"], one["version"]) for one in client.post("/v2/repository/index").json()}
        decoders = {("tiny.decode", str(number)) for number in (1, 2, 3)}
        assert listed == {("tiny.generate", "3"), ("tiny.generate", "2"), *decoders}
        assert [one["id"] for one in client.get("/v1/models").json()["data"]] == ["tiny", "tiny@2"]
        assert client.get("/v1/models/tiny@2").json()["version"] == 2
        for name, number in (("tiny", 3), ("tiny@2", 2)):
            drawn = client.post("/v1/images/generations", json={"prompt": "", "model": name})
            assert painted(drawn.json()["data"][0]["b64_json"]) == number


def test_drift_and_metrics_are_those_of_a_name_and_its_versions(tmp_path: Path, start_service: StartService):
    options = {"default_for": ("encode",), "reference": ("a", "b")}
    for number in (1, 2):
        write_tiny(tmp_path / "checkpoints", "tiny", number, seed=number, **options)
    service = start_service(keep_versions=2, drift_rows=8)
    image = service.get("/models/tiny/preview").content
    with service.client(headers={"content-type": "image/png"}) as client:
        for model, times in (("tiny", 3), ("tiny@1", 2), ("tiny@2", 1)):
            for _ in range(times):
                assert client.post(f"/encode?model={model}", content=image).status_code == 200
    assert service.get("/models/tiny/drift").json()["images"] == 4
    assert service.get("/models/tiny@1/drift").json()["images"] == 2
    metrics = service.get("/metrics").text
    assert 'latent_batch_rows_sum{graph="encode",model="tiny"} 6.0' in metrics
    assert 'latent_model_version{model="tiny"} 2.0' in metrics


class Hammer:
    """Clients that ask without a pause, each on one connection or on a new one every time."""

    def __init__(self, service: ServiceProcess, keep_alive: int, one_by_one: int) -> None:
        self._service = service
        self._going = True
        self.seen: list[list[int]] = [[] for _ in range(keep_alive + one_by_one)]
        self.failures: list[str] = []
        self._pool = ThreadPoolExecutor(len(self.seen))
        self._running = [
            self._pool.submit(self._ask, seen, number < keep_alive) for number, seen in enumerate(self.seen)
        ]

    def _ask(self, seen: list[int], keep_alive: bool) -> None:
        headers = {} if keep_alive else {"connection": "close"}
        with self._service.client(headers=headers) as client:
            while self._going:
                try:
                    seen.append(version(client))
                except (AssertionError, httpx.TransportError) as error:
                    self.failures.append(repr(error))

    def wait_for(self, number: int) -> None:
        """Wait until every client has seen a version after all it has seen up to now."""
        before = [len(seen) for seen in self.seen]
        wait_until(
            lambda: (
                self.failures
                or all(seen[start:].count(number) for seen, start in zip(self.seen, before, strict=True))
            ),
            f"every client sees version {number}",
            20,
        )

    def end(self) -> None:
        self._going = False
        for running in self._running:
            running.result(20)
        self._pool.shutdown()


def changes(seen: list[int]) -> list[int]:
    """Return versions in the order in which a client saw them, each as often as it came."""
    return [seen[0], *(later for earlier, later in pairwise(seen) if later != earlier)]


@pytest.mark.parametrize(("workers", "keep"), [(1, 1), (2, 2), (3, 1)])
def test_no_client_sees_a_version_go_back(
    tmp_path: Path, start_service: StartService, workers: int, keep: int
):
    """Neither while versions are published nor while they are removed; no request fails."""
    write_version(tmp_path, 1)
    service = start_service(workers=workers, keep_versions=keep, reload_interval_s=0.1)
    hammer = Hammer(service, keep_alive=3, one_by_one=3)
    expected = [1, 2, 3, 4, 3, 2, 5]
    hammer.wait_for(1)
    for number in (2, 3, 4):
        write_version(tmp_path, number)
        hammer.wait_for(number)
    for number in (4, 3):
        shutil.rmtree(tmp_path / "checkpoints" / "tiny" / str(number))
        hammer.wait_for(number - 1)
    write_version(tmp_path, 5)
    hammer.wait_for(5)
    hammer.end()
    assert hammer.failures == []
    assert [changes(seen) for seen in hammer.seen] == [expected] * len(hammer.seen)


def test_who_has_seen_a_new_version_gets_it_from_every_worker(tmp_path: Path, start_service: StartService):
    """Connections that the workers share among them, asked in turns: all together see no step back."""
    write_version(tmp_path, 1)
    service = start_service(workers=3, reload_interval_s=0.1)
    seen: list[int] = []
    with ExitStack() as connections:
        clients = [connections.enter_context(service.client()) for _ in range(CONNECTIONS)]

        def ask_all() -> set[int]:
            turn = [version(client) for client in clients]
            seen.extend(turn)
            return set(turn)

        for number in (1, 2, 3, 4):
            if number > 1:
                write_version(tmp_path, number)
            wait_until(lambda number=number: ask_all() == {number}, f"version {number} answers", 20)
    assert changes(seen) == [1, 2, 3, 4]


@both
def test_removing_a_version_returns_to_the_one_below(
    tmp_path: Path, start_service: StartService, workers: int
):
    write_version(tmp_path, 1)
    write_version(tmp_path, 3)
    write_bad_version(tmp_path, 2)
    service = start_service(workers=workers)
    assert versions(service) == {3}
    shutil.rmtree(tmp_path / "checkpoints" / "tiny" / "3")
    wait_until(lambda: shown(service)["version"] == 1, "the version below serves")
    assert versions(service) == {1}
    assert "version 2: decode.onnx does not match" in shown(service)["reason"]


def test_a_worker_that_hangs_holds_a_change_up_until_it_is_killed(
    tmp_path: Path, start_service: StartService
):
    write_version(tmp_path, 1)
    service = start_service(workers=2, stuck_run_s=1, stuck_worker_s=3)
    first, second = service.workers()
    os.kill(second, signal.SIGSTOP)
    write_version(tmp_path, 2)
    with service.client() as client:
        assert version(client) == 1
        wait_until(lambda: version(client) == 2, "the other goes on without it", 20)
    wait_until(lambda: len(service.workers()) == 3, "it is replaced", 20)
    assert f"worker {second} shows no sign of life" in service.log()
    assert first in service.workers()
    assert versions(service) == {2}


def test_a_worker_that_begins_while_the_folder_changes_serves_what_the_others_do(
    tmp_path: Path, start_service: StartService
):
    write_version(tmp_path, 1)
    service = start_service(workers=2, reload_interval_s=0.1)
    hammer = Hammer(service, keep_alive=0, one_by_one=4)
    hammer.wait_for(1)
    for number in (2, 3):
        os.kill(service.workers()[-1], signal.SIGKILL)
        write_version(tmp_path, number)
        wait_until(lambda number=number: len(service.workers()) == number + 1, "it is replaced", 20)
        wait_until(lambda number=number: versions(service) == {number}, "all serve it", 20)
    hammer.end()
    assert [changes(seen) for seen in hammer.seen] == [[1, 2, 3]] * 4


@pytest.mark.usefixtures("curl")
def test_the_guide_does_what_it_says(tmp_path: Path, start_service: StartService):
    start, publish, ask, withdraw = doc_examples.blocks("versions.md", "sh")
    write_tiny(tmp_path / "checkpoints", "fashion-vae", 5)
    write_tiny(tmp_path / "made", "fashion-vae", 6)
    name, _, kept = start.removesuffix(" make serve\n").partition("=")
    assert name == "LATENT_KEEP_VERSIONS"
    service = start_service(keep_versions=kept)

    def run(commands: str) -> str:
        script = commands.replace("localhost:8000", service.url)
        bash = ["bash", "-euo", "pipefail", "-c", script]
        ended = subprocess.run(bash, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    assert json.loads(run(publish))["served"] == [6, 5]
    assert json.loads(run(ask))["version"] == 5
    assert json.loads(run(withdraw))["served"] == [5]
