"""The Open Inference Protocol with Triton's own client and with KServe's."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from service.media import png
from support import doc_examples
from support.service_process import ROOT, ServiceProcess
from support.tiny_checkpoints import write_tiny

LATENTS = np.linspace(-1, 1, 160, dtype=np.float32).reshape(40, 4)
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8), np.uint8)
FILES = np.array([png.write(one) for one in PIXELS], np.object_)
ADMIN = {"Authorization": "Bearer admin-secret"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    root = tmp_path_factory.mktemp("inference")
    write_tiny(root / "checkpoints", "tiny", 3, classes=("left", "right"), logvar=True)
    write_tiny(root / "checkpoints", "ab", operations=(), domains=("a", "b"))
    write_tiny(root / "checkpoints", "spare", operations=("decode",))
    (root / "key").write_text("admin-secret")
    with ServiceProcess(root / "checkpoints", root / "log", admin_key_file=root / "key") as process:
        yield process


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(address(service)) as client:
        yield client


def address(service: ServiceProcess) -> str:
    return service.url.removeprefix("http://")


def tensor(name: str, array: np.ndarray, kind: str = "FP32", *, binary: bool = True) -> triton.InferInput:
    made = triton.InferInput(name, array.shape, kind)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def decoded(service: ServiceProcess, rows: np.ndarray) -> np.ndarray:
    """Return what the service's own route makes of latents, with all of float32's digits lost but 8 bits."""
    with service.client() as client:
        answer = client.post(
            "/decode",
            json={"model": "tiny", "latents": rows.tolist()},
            headers={"accept": "application/x-npy"},
        )
    return np.load(io.BytesIO(answer.content)) / 255


def test_the_server_and_its_models_are_described(client: triton.InferenceServerClient):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny.encode")
    assert client.is_model_ready("tiny.encode", "3")
    assert not client.is_model_ready("tiny.encode", "2")
    assert not client.is_model_ready("nowhere.encode")
    assert client.get_server_metadata()["name"] == "latent-service"
    metadata = client.get_model_metadata("tiny.generate", "3")
    assert [(one["name"], one["datatype"]) for one in metadata["inputs"]] == [
        ("latents", "FP32"),
        ("labels", "INT64"),
    ]
    config = client.get_model_config("tiny.generate")
    assert config["max_batch_size"] == 1024
    index = client.get_model_repository_index()
    assert {one["name"]: one["state"] for one in index} == dict.fromkeys(
        ("ab.translate", "spare.decode", "tiny.decode", "tiny.encode", "tiny.generate"), "READY"
    )


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_tensors_go_as_bytes_or_json_and_come_as_either(
    service: ServiceProcess, client: triton.InferenceServerClient, binary_in: bool, binary_out: bool | None
):
    outputs = None if binary_out is None else [triton.InferRequestedOutput("images", binary_data=binary_out)]
    answer = client.infer(
        "tiny.decode", [tensor("latents", LATENTS, binary=binary_in)], outputs=outputs, request_id="my-42"
    )
    images = answer.as_numpy("images")
    assert (images.shape, images.dtype) == ((40, 1, 8, 8), np.float32)
    assert np.abs(images[:, 0].clip(0, 1) - decoded(service, LATENTS)).max() < 0.51 / 255
    response = answer.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == (
        "my-42",
        "tiny.decode",
        "3",
    )


@pytest.mark.parametrize("sent", [None, "gzip", "deflate"])
@pytest.mark.parametrize("wanted", [None, "gzip", "deflate"])
def test_bodies_are_compressed_both_ways(
    client: triton.InferenceServerClient, sent: str | None, wanted: str | None
):
    inputs = [tensor("latents", LATENTS)]
    plain = client.infer("tiny.decode", inputs).as_numpy("images")
    answer = client.infer(
        "tiny.decode", inputs, request_compression_algorithm=sent, response_compression_algorithm=wanted
    )
    assert np.array_equal(answer.as_numpy("images"), plain)


def test_images_go_as_files_as_pixels_and_as_numbers(client: triton.InferenceServerClient):
    ways = [
        tensor("images", FILES, "BYTES"),
        tensor("images", FILES[:, None], "BYTES"),
        tensor("images", PIXELS, "UINT8"),
        tensor("images", PIXELS, "UINT8", binary=False),
        tensor("images", (PIXELS[:, None] / 255).astype(np.float32)),
    ]
    found = [client.infer("tiny.encode", [way]).as_numpy("latents") for way in ways]
    for latents in found:
        assert latents.shape == (2, 4)
        assert latents == pytest.approx(found[0], abs=1e-6)


def test_files_go_as_base64_in_json(client: triton.InferenceServerClient):
    texts = np.array([base64.b64encode(one) for one in FILES], np.object_)
    as_json = client.infer("tiny.encode", [tensor("images", texts, "BYTES", binary=False)])
    as_bytes = client.infer("tiny.encode", [tensor("images", FILES, "BYTES")])
    assert np.array_equal(as_json.as_numpy("latents"), as_bytes.as_numpy("latents"))


def test_all_outputs_come_or_those_that_are_asked_for(client: triton.InferenceServerClient):
    inputs = [tensor("images", FILES, "BYTES")]
    both = client.infer("tiny.encode", inputs)
    assert both.as_numpy("latents").shape == both.as_numpy("logvar").shape == (2, 4)
    outputs = [triton.InferRequestedOutput("logvar")]
    one = client.infer("tiny.encode", inputs, outputs=outputs)
    assert one.as_numpy("latents") is None
    assert np.array_equal(one.as_numpy("logvar"), both.as_numpy("logvar"))
    mixed = [
        triton.InferRequestedOutput(name, binary_data=name == "logvar") for name in ("latents", "logvar")
    ]
    same = client.infer("tiny.encode", inputs, outputs=mixed)
    for name in ("latents", "logvar"):
        assert same.as_numpy(name) == pytest.approx(both.as_numpy(name), abs=0)


def test_labels_seeds_and_domains_ride_along(client: triton.InferenceServerClient):
    drawn = client.infer("tiny.generate", [], parameters={"label": "right", "count": 3, "seed": 5})
    assert drawn.as_numpy("images").shape == (3, 1, 8, 8)
    assert drawn.get_response()["parameters"]["seed"] == 5
    names = np.array([b"left", b"right"], np.object_)
    by_name = [tensor("latents", LATENTS[:2]), tensor("labels", names, "BYTES")]
    by_index = [tensor("latents", LATENTS[:2]), tensor("labels", np.array([0, 1], np.int64), "INT64")]
    one, other = (client.infer("tiny.generate", inputs).as_numpy("images") for inputs in (by_name, by_index))
    assert np.array_equal(one, other)
    there = client.infer(
        "ab.translate", [tensor("images", PIXELS[:, None].astype(np.float32) / 255)], parameters={"to": "b"}
    )
    assert there.as_numpy("translated") == pytest.approx(1 - PIXELS[:, None] / 255, abs=1e-6)


def test_many_are_asked_at_once_and_waited_for_later(service: ServiceProcess):
    with triton.InferenceServerClient(address(service), concurrency=4) as client:
        pending = [client.async_infer("tiny.decode", [tensor("latents", row[None])]) for row in LATENTS]
        images = np.concatenate([one.get_result().as_numpy("images") for one in pending])
        together = client.infer("tiny.decode", [tensor("latents", LATENTS)]).as_numpy("images")
    assert images == pytest.approx(together, abs=1e-6)


async def test_the_asynchronous_client_gets_the_same(service: ServiceProcess):
    inputs = [tensor("latents", LATENTS)]
    async with triton_aio.InferenceServerClient(address(service)) as client:
        assert await client.is_server_ready()
        assert (await client.get_model_metadata("tiny.decode"))["platform"] == "onnxruntime_onnx"
        answer = await client.infer(
            "tiny.decode",
            inputs,
            request_id="7",
            request_compression_algorithm="gzip",
            response_compression_algorithm="deflate",
        )
        with pytest.raises(InferenceServerException, match="no such model"):
            await client.infer("nowhere.decode", inputs)
    with triton.InferenceServerClient(address(service)) as other:
        expected = other.infer("tiny.decode", inputs).as_numpy("images")
    assert np.array_equal(answer.as_numpy("images"), expected)
    assert answer.get_response()["id"] == "7"


def test_statistics_count_what_was_asked(client: triton.InferenceServerClient):
    def counts() -> tuple[int, int, int]:
        (stats,) = client.get_inference_statistics("tiny.decode")["model_stats"]
        inference = stats["inference_stats"]
        return inference["success"]["count"], inference["fail"]["count"], stats["inference_count"]

    before = counts()
    client.infer("tiny.decode", [tensor("latents", LATENTS)])
    with pytest.raises(InferenceServerException):
        client.infer("tiny.decode", [tensor("codes", LATENTS)])
    assert tuple(np.subtract(counts(), before)) == (1, 1, 40)
    assert len(client.get_inference_statistics()["model_stats"]) == 5


def test_models_are_loaded_and_unloaded_with_the_admin_key(client: triton.InferenceServerClient):
    with pytest.raises(InferenceServerException, match="key is needed"):
        client.unload_model("spare.decode")
    client.unload_model("spare.decode", headers=ADMIN)
    assert not client.is_model_ready("spare.decode")
    listed = {one["name"]: one for one in client.get_model_repository_index()}
    assert (listed["spare"]["state"], listed["spare"]["reason"]) == ("UNAVAILABLE", "it was unloaded")
    client.load_model("spare", headers=ADMIN)
    assert client.is_model_ready("spare.decode")


REFUSED: list[tuple[str, Callable[[], list[triton.InferInput]], list[str] | None, str]] = [
    ("nowhere.decode", lambda: [tensor("latents", LATENTS)], None, "no such model"),
    ("ab.decode", lambda: [tensor("latents", LATENTS)], None, "does not offer decode"),
    ("tiny.decode", lambda: [tensor("codes", LATENTS)], None, "inputs of this model are latents"),
    ("tiny.decode", lambda: [], None, "latents is missing"),
    ("tiny.decode", lambda: [tensor("latents", LATENTS.reshape(32, 5))], None, r"are \(N, 4\)"),
    ("tiny.decode", lambda: [tensor("latents", LATENTS.astype(np.int64), "INT64")], None, "latents are FP32"),
    ("tiny.decode", lambda: [tensor("latents", LATENTS.astype(np.uint16), "UINT16")], None, "must be one of"),
    ("tiny.decode", lambda: [tensor("latents", LATENTS)], ["codes"], "outputs of this model are images"),
    ("tiny.decode", lambda: [tensor("latents", LATENTS.repeat(26, 0))], None, "at most 1024"),
    ("tiny.decode", lambda: [tensor("latents", LATENTS * np.inf)], None, "finite"),
    ("tiny.encode", lambda: [tensor("images", np.array([b"x"], np.object_), "BYTES")], None, "not a PNG"),
    ("tiny.encode", lambda: [tensor("images", FILES[:1].repeat(257), "BYTES")], None, "at most 256"),
]


@pytest.mark.parametrize(("model", "inputs", "outputs", "said"), REFUSED)
def test_refusals_are_readable_exceptions(
    client: triton.InferenceServerClient,
    model: str,
    inputs: Callable[[], list[triton.InferInput]],
    outputs: list[str] | None,
    said: str,
):
    wanted = outputs and [triton.InferRequestedOutput(name) for name in outputs]
    with pytest.raises(InferenceServerException, match=said) as caught:
        client.infer(model, inputs(), outputs=wanted)
    assert caught.value.status()


def test_a_tensor_that_is_shorter_than_its_shape_is_refused(client: triton.InferenceServerClient):
    short = tensor("latents", LATENTS)
    short.set_shape([41, 4])
    with pytest.raises(InferenceServerException, match="640 bytes were sent, FP32 of this shape has 656"):
        client.infer("tiny.decode", [short])


def test_the_documented_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (example,) = doc_examples.python("inference-protocol.md")
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    with ServiceProcess(ROOT / "checkpoints", tmp_path / "service.log") as service:
        printed = doc_examples.run(example, service.url)
    assert printed.splitlines() == [
        "(1, 16)",
        "(1, 1, 28, 28)",
        "(3, 1, 28, 28) {'seed': 7}",
        "(1, 1, 28, 28)",
    ]


def test_kserves_own_client_works(
    service: ServiceProcess, environment: Callable[..., Path], run: Callable[..., Any]
):
    python = environment("kserve", "kserve==0.21.0")
    found = run(python, "kserve_client.py", service.url)
    assert found["live"] is found["ready"] is found["model_ready"] is True
    assert found["missing_ready"] is False
    with triton.InferenceServerClient(address(service)) as client:
        expected = client.infer("tiny.decode", [tensor("latents", LATENTS[:3])]).as_numpy("images")
    for way in ("json", "binary"):
        assert found[way]["id"] == "my-42"
        assert found[way]["shape"] == [3, 1, 8, 8]
        assert np.array(found[way]["values"]) == pytest.approx(expected.ravel(), abs=1e-6)
    assert "inputs of this model are latents" in found["refused"]


def test_kserves_own_library_reads_our_manifest_whole(
    environment: Callable[..., Path], run: Callable[..., Any]
):
    path = ROOT / "deploy" / "kubernetes" / "inference-service.yaml"
    unknown = run(environment("kserve", "kserve==0.21.0"), "kserve_manifest.py", path)
    assert unknown == []
