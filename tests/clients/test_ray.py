"""Ray Serve: deploy/ray/serve.yaml on a real cluster of two processors, under load, killed and updated.

The tests share the cluster and follow each other: one replica, two by load, one killed, new versions, new
settings.
"""

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from service import checkpoint
from service.client import AsyncClient
from support import doc_examples
from support.coloured_versions import DECODE, Load, colour_of
from support.ray_cluster import FILE, START_LIMIT_S, Cluster
from support.service_process import ROOT, ServiceProcess, wait_until
from support.tiny_checkpoints import describe_tiny, write_tiny

RAY = "ray[serve]==2.60.0"
CLIENTS = 12
PAUSE_S = 0.05
"""Of each between two requests, so that replicas can start beside them."""
SLOW_MS = 20
DRAW = {"count": 2, "seed": 11, "model": "drawn", "return_latents": True}


@pytest.fixture(scope="module")
def python(environment: Callable[..., Path]) -> Path:
    return environment("ray", RAY, "--constraint", str(ROOT / "constraints.txt"), borrow=True)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with checkpoints: `tiny` in two versions of different colours, slow, and `drawn`, quick."""
    root = tmp_path_factory.mktemp("ray")
    for version in (1, 2):
        options = {"colour": colour_of(version), "slow_ms": SLOW_MS, "preferred_batch": 4}
        write_tiny(root / "checkpoints", version=version, default_for=("decode",), **options)
    write_tiny(root / "checkpoints", "drawn", default_for=("encode", "generate"))
    write_tiny(root / "checkpoints", "endless", operations=("decode",), endless="node", slow_ms=SLOW_MS)
    return root


@pytest.fixture(scope="module")
def cluster(python: Path, work: Path) -> Iterator[Cluster]:
    """The file as it is shipped, but for the port, a lower target, and version 1 of `tiny` alone."""
    with ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets lie in it: no long path will do
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        started = Cluster(python, work, folder)
        stack.callback(started.stop)
        started.deployment["autoscaling_config"] |= {"target_ongoing_requests": 1, "upscale_delay_s": 0}
        started.deployment["user_config"] = {"versions": {"tiny": 1}}
        started.deploy()
        wait_until(lambda: started.is_running(1), "a replica runs", START_LIMIT_S)
        yield started


async def under_load(
    cluster: Cluster, what: Callable[[Load], Awaitable[None]], pause_s: float = PAUSE_S
) -> Load:
    """Do something while the load goes on, and return what became of the load."""
    load = Load(cluster.url, CLIENTS, pause_s)
    running = asyncio.create_task(load.run())
    try:
        await until(lambda: bool(load.versions or load.failures), "answers come")
        await what(load)
    finally:
        load.going = False
        await running
    assert load.wrong == 0
    return load


async def until(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what, START_LIMIT_S)


def test_answers_are_those_of_the_plain_service(cluster: Cluster, work: Path):
    image = base64.b64encode((ROOT / "docs" / "shoe.png").read_bytes()).decode()
    with ExitStack() as stack:
        service = stack.enter_context(ServiceProcess(work / "checkpoints", work / "service.log"))
        plain = stack.enter_context(service.client())
        ray = stack.enter_context(httpx.Client(base_url=cluster.url, timeout=30))
        for path, body, headers in (
            ("/generate", DRAW, {}),
            ("/generate", DRAW, {"accept": "image/png"}),
            ("/encode", {"images": [image], "model": "drawn"}, {}),
            ("/decode", {"latents": [[1, 2, 3, 4]], "model": "drawn"}, {"accept": "application/x-npy"}),
            ("/decode", {"latents": [[1]], "model": "drawn"}, {}),
            ("/decode", DECODE, {"x-request-timeout-s": "0.001"}),
            ("/generate", DRAW, {"accept": "application/x-ndjson"}),
            ("/nothing", {}, {}),
            *((page, None, {}) for page in ("/models/drawn", "/docs", "/openapi.json", "/playground")),
        ):
            asked = {"method": "GET" if body is None else "POST", "url": path, "json": body}
            asked["headers"] = {**headers, "x-request-id": "a-test"}
            through_ray, expected = (client.request(**asked) for client in (ray, plain))
            assert (through_ray.status_code, through_ray.content) == (expected.status_code, expected.content)
            assert through_ray.headers["content-type"] == expected.headers["content-type"]


def test_a_replica_has_metrics_and_the_threads_of_its_processors(cluster: Cluster):
    several = {"count": 64, "seed": 1, "model": "tiny"}
    assert httpx.post(f"{cluster.url}/generate", json=several, timeout=60).status_code == 200
    assert cluster.get("/openapi.json").headers["content-encoding"] == "gzip"
    (replica,) = cluster.replicas()
    nice = [int(one.read_text().rpartition(")")[2].split()[16]) for one in task_stats(replica)]
    assert nice.count(19) == 2  # one thread for pieces and one for bodies, on a machine of any size
    metrics = cluster.get("/metrics").text
    assert 'latent_requests_total{method="POST",route="/generate",status="200"}' in metrics


def task_stats(pid: int) -> list[Path]:
    return sorted(Path(f"/proc/{pid}/task").glob("*/stat"))


def test_the_commands_of_the_guide_are_those_of_the_test(cluster: Cluster):
    """The second is what the test deploys with; the first does the same and waits."""
    first, second, ask, _ = doc_examples.blocks("ray.md", "sh")
    assert first == f"serve run {FILE}\n"
    assert second == f"serve run --non-blocking --address=auto {FILE}\n"
    said = subprocess.run(
        ["bash", "-c", ask.replace("http://127.0.0.1:8000", cluster.url)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    assert len(json.loads(said.stdout)["latents"]) == 1


def test_nobody_can_load_or_unload(cluster: Cluster):
    answer = httpx.post(f"{cluster.url}/admin/models/tiny/unload")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_waiting_requests_bring_a_second_replica(cluster: Cluster):
    async def wait(_: Load) -> None:
        await until(lambda: cluster.is_running(2), "two replicas run")

    load = await under_load(cluster, wait)
    assert load.failures == []
    assert load.versions == {1}


async def test_a_killed_replica_takes_along_what_it_was_working_on(cluster: Cluster):
    """Our client asks again; others get Ray's own 500 for what was in flight, and for nothing else."""
    drawn: list[bytes] = []
    killed: list[int] = []

    async def kill(load: Load) -> None:
        sent = load.sent
        await until(lambda: load.sent > sent + CLIENTS, "both replicas are at work")
        killed.append(cluster.replicas()[0])
        async with AsyncClient(cluster.url) as client:

            async def draw() -> None:
                while load.going:
                    drawn.append((await client.generate(1, seed=7, model="tiny")).images.tobytes())

            async with asyncio.TaskGroup() as drawing:
                for _ in range(CLIENTS):
                    drawing.create_task(draw())
                await until(lambda: len(drawn) > CLIENTS, "our clients are answered")
                os.kill(killed[0], signal.SIGKILL)
                await until(lambda: killed[0] not in cluster.replicas(), "it is gone")
                await until(
                    lambda: len(cluster.replicas()) == 2 and cluster.is_running(2), "there is another"
                )
                load.going = False

    load = await under_load(cluster, kill, pause_s=0)
    print(f"{len(load.failures)} of {CLIENTS} plain clients lost an answer, of {load.sent} requests")
    assert set(load.failures) <= {"500 Internal Server Error"}
    assert len(load.failures) <= CLIENTS
    assert len(set(drawn)) == 1


async def test_a_new_version_reaches_one_replica_after_the_other(cluster: Cluster):
    before = cluster.replicas()

    async def update(load: Load) -> None:
        for version in (2, 1):
            load.versions.clear()
            await deploy_versions(cluster, {"tiny": version})
            await until(lambda version=version: version in load.versions, "it answers")
            await until(lambda: cluster.is_running(2), "both replicas are updated")
            load.versions.clear()
            sent = load.sent
            await until(lambda sent=sent: load.sent > sent + 4 * CLIENTS, "requests are answered since")
            assert cluster.get("/models/tiny").json()["version"] == version

    load = await under_load(cluster, update)
    assert load.failures == []
    assert load.versions == {1}
    assert sorted(cluster.replicas()) == sorted(before)  # none was started anew


async def deploy_versions(cluster: Cluster, versions: dict[str, int]) -> None:
    cluster.deployment["user_config"] = {"versions": versions}
    await asyncio.to_thread(cluster.deploy)


async def test_where_a_version_is_refused_the_next_lower_one_serves(cluster: Cluster, work: Path):
    description, files = describe_tiny(version=3)
    files["decode.onnx"] = files["decode.onnx"][:-1]
    checkpoint.write(work / "checkpoints", description, files)
    before = cluster.replicas()

    async def update(load: Load) -> None:
        await deploy_versions(cluster, {"tiny": 3})
        await until(lambda: bool(cluster.get("/models/tiny").json()["reason"]), "it is refused")
        await until(lambda: cluster.is_running(2), "both replicas have looked at it")

    load = await under_load(cluster, update)
    assert load.failures == []
    assert load.versions <= {1, 2}
    assert sorted(cluster.replicas()) == sorted(before)
    assert cluster.get("/models/tiny").json()["version"] == 2
    assert "version 3: " in cluster.get("/models/tiny").json()["reason"]


async def test_new_settings_replace_replicas_that_finish_what_they_have(cluster: Cluster):
    before = set(cluster.replicas())

    async def update(_: Load) -> None:
        cluster.application["args"] |= {"max_count": 300, "stuck_run_s": 1, "request_timeout_s": 6}
        await asyncio.to_thread(cluster.deploy)
        await until(lambda: not before & set(cluster.replicas()), "the old replicas are gone")
        await until(lambda: cluster.is_running(2), "there are two new ones")

    load = await under_load(cluster, update)
    assert load.failures == []
    assert cluster.get("/models").json()["limits"]["max_count"] == 300


def test_a_replica_that_lost_a_thread_is_replaced(cluster: Cluster):
    before = set(cluster.replicas())
    endless = {"latents": [[1e6, 0, 0, 0]], "model": "endless"}
    answer = httpx.post(f"{cluster.url}/decode", json=endless, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline-exceeded")
    wait_until(lambda: len(before & set(cluster.replicas())) == 1, "one is gone", START_LIMIT_S)
    wait_until(lambda: len(cluster.replicas()) == 2 and cluster.is_running(2), "another runs", START_LIMIT_S)


@pytest.mark.parametrize(
    ("number", "part"),
    [
        *((0, None), (1, "allow_no_key: "), (2, "port: Ray does this"), (3, "drift_rows: it would hold in")),
        *((4, "api_keys: Ray shows"), (5, "max_count: Input should be"), (6, "max_counts: Extra inputs")),
        *(
            (7, "user_config.version: "),
            (8, "user_config.versions.tiny: "),
            (9, "user_config.versions.tiny: "),
        ),
        (10, "Input should be a valid dictionary"),
    ],
)
def test_what_cannot_be_is_refused_by_name(said: Any, number: int, part: str | None):
    _, message = said[number]
    assert (part in message) if part else message is None


@pytest.fixture(scope="module")
def said(python: Path, run: Callable[..., Any]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        return run(python, "ray_refusals.py")
