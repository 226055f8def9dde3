"""The Open Inference Protocol on the wire; tests/clients drives the same with the real clients."""

import gzip
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.media import png
from support.service_process import ServiceProcess, StartService, wait_until
from support.tiny_checkpoints import write_tiny

LATENTS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("inference")
    write_tiny(root / "checkpoints", "tiny", 3, classes=("left", "right"), logvar=True)
    write_tiny(root / "checkpoints", "ab", operations=(), domains=("a", "b"))
    with ServiceProcess(root / "checkpoints", root / "service.log", max_body_bytes=1 << 20) as process:
        yield process


@pytest.fixture
def client(service: ServiceProcess):
    with service.client() as client:
        yield client


def ask(
    client: httpx.Client, model: str, message: dict[str, Any], tail: bytes = b"", **headers: str
) -> httpx.Response:
    head = json.dumps(message).encode()
    if tail:
        headers["Inference-Header-Content-Length"] = str(len(head))
    return client.post(f"/v2/models/{model}/infer", content=head + tail, headers=headers)


def numbers(name: str, array: np.ndarray, **members: Any) -> dict[str, Any]:
    return {"name": name, "datatype": "FP32", "shape": list(array.shape), "data": array.tolist(), **members}


def native(client: httpx.Client, rows: np.ndarray) -> list[str]:
    return client.post("/decode", json={"latents": rows.tolist(), "model": "tiny"}).json()["images"]


def test_the_server_and_its_models_describe_themselves(client: httpx.Client):
    for path in ("/v2", "/v2/"):
        about = client.get(path)
        assert about.status_code == 200
        assert about.json()["name"] == "latent-service"
        assert "binary_tensor_data" in about.json()["extensions"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    found = client.get("/v2/models/tiny.encode").json()
    assert found == client.get("/v2/models/tiny.encode/versions/3").json()
    assert (found["name"], found["versions"]) == ("tiny.encode", ["3"])
    assert found["inputs"] == [{"name": "images", "datatype": "FP32", "shape": [-1, 1, 8, 8]}]
    assert [one["name"] for one in found["outputs"]] == ["latents", "logvar"]
    found = client.get("/v2/models/tiny.generate/config").json()
    assert found["input"][1] == {"name": "labels", "data_type": "TYPE_INT64", "dims": [1], "optional": True}
    assert client.get("/v2/models/ab.translate/ready").json() == {"name": "ab.translate", "ready": True}
    listed = client.post("/v2/repository/index").json()
    assert {one["name"] for one in listed} == {"tiny.encode", "tiny.decode", "tiny.generate", "ab.translate"}
    assert {one["state"] for one in listed} == {"READY"}


def test_tensors_come_and_go_as_json_and_as_bytes(client: httpx.Client):
    as_json = ask(client, "tiny.decode", {"id": "7", "inputs": [numbers("latents", LATENTS)]})
    assert as_json.status_code == 200
    answer = as_json.json()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("7", "tiny.decode", "3")
    (output,) = answer["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("images", "FP32", [3, 1, 8, 8])

    sent = {"name": "latents", "datatype": "FP32", "shape": [3, 4], "parameters": {"binary_data_size": 48}}
    message = {"inputs": [sent], "parameters": {"binary_data_output": True}}
    as_bytes = ask(client, "tiny.decode", message, LATENTS.tobytes())
    end = int(as_bytes.headers["inference-header-content-length"])
    (described,) = json.loads(as_bytes.content[:end])["outputs"]
    assert described["parameters"] == {"binary_data_size": 3 * 64 * 4}
    assert "data" not in described
    images = np.frombuffer(as_bytes.content[end:], "<f4")
    assert images == pytest.approx(np.array(output["data"], np.float32), abs=0)

    (message["outputs"],) = ([{"name": "images", "parameters": {"binary_data": False}}],)
    mixed = ask(client, "tiny.decode", message, LATENTS.tobytes())
    assert mixed.json()["outputs"][0]["data"] == output["data"]


def test_flat_and_nested_json_are_the_same(client: httpx.Client):
    nested = ask(client, "tiny.decode", {"inputs": [numbers("latents", LATENTS)]})
    flat = ask(
        client, "tiny.decode", {"inputs": [numbers("latents", LATENTS, data=LATENTS.ravel().tolist())]}
    )
    assert nested.json() == flat.json()


def test_null_is_as_if_left_out(client: httpx.Client):
    unset = {"id": None, "parameters": None, "outputs": None}
    answer = ask(client, "tiny.decode", {"inputs": [numbers("latents", LATENTS, parameters=None)], **unset})
    assert answer.json() == ask(client, "tiny.decode", {"inputs": [numbers("latents", LATENTS)]}).json()


def test_images_come_as_files_as_pixels_and_as_the_graphs_numbers(client: httpx.Client):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8), np.uint8)
    files = [png.write(one) for one in pixels]
    strings = b"".join(struct.pack("<I", len(one)) + one for one in files)
    sent = {
        "name": "images",
        "datatype": "BYTES",
        "shape": [2],
        "parameters": {"binary_data_size": len(strings)},
    }
    ways = [
        ask(client, "tiny.encode", {"inputs": [sent]}, strings),
        ask(client, "tiny.encode", {"inputs": [{**sent, "shape": [2, 1]}]}, strings),
        ask(
            client, "tiny.encode", {"inputs": [numbers("images", (pixels[:, None] / 255).astype(np.float32))]}
        ),
        ask(
            client,
            "tiny.encode",
            {"inputs": [{**numbers("images", pixels[:, None] / 255), "datatype": "FP64"}]},
        ),
        ask(client, "tiny.encode", {"inputs": [{**numbers("images", pixels), "datatype": "UINT8"}]}),
    ]
    expected = client.post(
        "/encode", files=[("images", file) for file in files], data={"model": "tiny"}
    ).json()
    for answer in ways:
        latents = next(one for one in answer.json()["outputs"] if one["name"] == "latents")
        assert np.array(latents["data"]).reshape(2, 4) == pytest.approx(
            np.array(expected["latents"]), abs=1e-5
        )


def test_pixels_that_are_one_image_or_many_are_refused(client: httpx.Client):
    pixels = {**numbers("images", np.zeros((100, 8, 3), np.uint8)), "datatype": "UINT8"}
    answer = ask(client, "tiny.encode", {"inputs": [pixels]})
    assert answer.status_code == 422
    assert "one colour image or 100 grey ones" in answer.json()["error"]


def test_only_the_outputs_that_are_asked_for_come(client: httpx.Client):
    images = numbers("images", np.zeros((1, 1, 8, 8), np.float32))
    both = ask(client, "tiny.encode", {"inputs": [images]}).json()["outputs"]
    assert [one["name"] for one in both] == ["latents", "logvar"]
    one = ask(client, "tiny.encode", {"inputs": [images], "outputs": [{"name": "logvar"}]}).json()["outputs"]
    assert [each["name"] for each in one] == ["logvar"]


def test_generate_and_translate_take_what_rides_in_the_parameters(client: httpx.Client):
    drawn = ask(
        client, "tiny.generate", {"inputs": [], "parameters": {"seed": 5, "count": 2, "label": "right"}}
    )
    expected = {"seed": 5, "count": 2, "label": "right", "model": "tiny"}
    pixels = np.array(drawn.json()["outputs"][0]["data"]).reshape(2, 8, 8)
    assert drawn.json()["parameters"] == {"seed": 5}
    answer = client.post("/generate", json=expected, headers={"accept": "application/x-npy"})
    shown = np.load(__import__("io").BytesIO(answer.content))
    assert np.abs(pixels.clip(0, 1) * 255 - shown).max() <= 0.51
    inputs = [
        numbers("latents", LATENTS),
        {"name": "labels", "datatype": "INT64", "shape": [3], "data": [0, 1, 1]},
    ]
    given = ask(client, "tiny.generate", {"inputs": inputs}).json()["outputs"][0]["data"]
    inputs[1] = {"name": "labels", "datatype": "BYTES", "shape": [3], "data": ["left", "Right", "right"]}
    assert ask(client, "tiny.generate", {"inputs": inputs}).json()["outputs"][0]["data"] == given
    image = np.full((1, 1, 8, 8), 0.25, np.float32)
    there = ask(
        client, "ab.translate", {"inputs": [numbers("images", image)], "parameters": {"to": "b", "x": 1}}
    )
    assert there.json()["outputs"][0]["name"] == "translated"
    assert set(there.json()["outputs"][0]["data"]) == {0.75}


def test_one_tensor_may_come_alone(client: httpx.Client):
    alone = {"Inference-Header-Content-Length": "0"}
    decoded = client.post("/v2/models/tiny.decode/infer", content=LATENTS.tobytes(), headers=alone).json()
    assert decoded["outputs"][0]["shape"] == [3, 1, 8, 8]
    file = png.write(np.zeros((20, 20), np.uint8))
    encoded = client.post("/v2/models/tiny.encode/infer", content=file, headers=alone).json()
    assert encoded["outputs"][0]["shape"] == [1, 4]
    refused = client.post("/v2/models/tiny.decode/infer", content=b"12345", headers=alone)
    assert (refused.status_code, set(refused.json())) == (422, {"error"})


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_bodies_are_compressed_both_ways(client: httpx.Client, encoding: str, pack: Any):
    raw = json.dumps({"inputs": [numbers("latents", np.tile(LATENTS, (20, 1)))]}).encode()
    headers = {"Content-Encoding": encoding, "Accept-Encoding": encoding}
    answer = client.post("/v2/models/tiny.decode/infer", content=pack(raw), headers=headers)
    assert answer.headers["content-encoding"] == encoding
    plain = client.post("/v2/models/tiny.decode/infer", content=raw, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert answer.json() == plain.json()
    bomb = client.post("/v2/models/tiny.decode/infer", content=pack(bytes(4 << 20)), headers=headers)
    assert (bomb.status_code, set(bomb.json())) == (413, {"error"})
    for spoilt in (pack(raw)[:-9], raw, b""):
        assert client.post("/v2/models/tiny.decode/infer", content=spoilt, headers=headers).status_code == 400


LATENT = numbers("latents", LATENTS)
BINARY = {"name": "latents", "datatype": "FP32", "shape": [3, 4], "parameters": {"binary_data_size": 48}}


@pytest.mark.parametrize(
    ("model", "message", "status", "said"),
    [
        ("tiny", {"inputs": [LATENT]}, 404, "<checkpoint>.<operation>"),
        ("nowhere.decode", {"inputs": [LATENT]}, 404, "no such model"),
        ("ab.decode", {"inputs": [LATENT]}, 409, "does not offer decode"),
        ("tiny.decode/versions/2", {"inputs": [LATENT]}, 404, "version 3 is"),
        ("tiny.decode", {"inputs": []}, 422, "latents is missing"),
        (
            "tiny.decode",
            {"inputs": [{**LATENT, "name": "codes"}]},
            422,
            "the inputs of this model are latents",
        ),
        (
            "tiny.decode",
            {"inputs": [{**LATENT, "shape": [3, 5]}]},
            422,
            "12 values were sent, the shape says 15",
        ),
        ("tiny.decode", {"inputs": [{**LATENT, "shape": [4, 3]}]}, 422, "latents of this model are (N, 4)"),
        ("tiny.decode", {"inputs": [{**LATENT, "shape": [0, 4]}]}, 422, "positive numbers"),
        ("tiny.decode", {"inputs": [{**LATENT, "datatype": "BF16"}]}, 422, "BYTES, FP32, INT64, UINT8"),
        ("tiny.decode", {"inputs": [{**LATENT, "datatype": "INT64"}]}, 422, "INT64 are integers"),
        ("tiny.decode", {"inputs": [{**LATENT, "data": ["x"] * 12}]}, 422, "FP32 are numbers"),
        ("tiny.decode", {"inputs": [{**LATENT, "data": [1e39] * 12}]}, 422, "finite"),
        ("tiny.decode", {"inputs": [{**LATENT, "data": [10**400] * 12}]}, 422, "beyond FP32"),
        ("tiny.decode", {"inputs": [LATENT, LATENT]}, 422, "more than once"),
        (
            "tiny.decode",
            {"inputs": [LATENT], "outputs": [{"name": "x"}]},
            422,
            "the outputs of this model are images",
        ),
        ("tiny.decode", {"inputs": [BINARY]}, 422, "more than the body has left"),
        ("tiny.decode", {"inputs": [LATENT], "parameters": {"timeout": 0}}, 422, "microseconds"),
        ("tiny.decode", {"inputs": [{**LATENT, "shape": [10**400, 4]}]}, 422, "less than or equal to"),
        ("tiny.decode", {"inputs": [{**LATENT, "shape": [1 << 32] * 8}]}, 422, "12 values were sent"),
        (
            "tiny.decode",
            {"inputs": [{**LATENT, "data": [[[0] * 4] * 3]}]},
            422,
            "3 values were sent, the shape says 12",
        ),
        (
            "tiny.encode",
            {"inputs": [{"name": "images", "datatype": "BYTES", "shape": [5000], "data": ["x"] * 5000}]},
            422,
            "at most 1024 in one request",
        ),
        ("tiny.decode", {"inputs": "x"}, 422, "request.inputs"),
        ("tiny.generate", {"inputs": [], "parameters": {"label": "up"}}, 422, "known are left, right"),
        ("tiny.generate", {"inputs": [], "parameters": {"count": 10**6}}, 422, "at most"),
        ("ab.translate", {"inputs": [], "parameters": {"to": "c"}}, 422, "translates to"),
    ],
)
def test_what_is_wrong_is_said_in_the_protocols_own_shape(
    client: httpx.Client, model: str, message: dict[str, Any], status: int, said: str
):
    answer = ask(client, model, message)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    assert said in answer.json()["error"]


def test_a_timeout_of_any_length_is_one(client: httpx.Client):
    for timeout_us in (10**9, 10**400):
        asked = {"inputs": [LATENT], "parameters": {"timeout": timeout_us}}
        assert ask(client, "tiny.decode", asked).status_code == 200


def test_strings_are_counted_before_they_are_told_apart(client: httpx.Client):
    empty = bytes(4 * 10_000)
    tensor = {"name": "images", "datatype": "BYTES", "parameters": {"binary_data_size": len(empty)}}
    for shape, said in (([1], "more than 1 strings were sent"), ([10_000], "at most 1024")):
        answer = ask(client, "tiny.encode", {"inputs": [{**tensor, "shape": shape}]}, empty)
        assert (answer.status_code, said in answer.json()["error"]) == (422, True)


def test_the_length_of_the_json_may_have_any_number_of_digits(client: httpx.Client):
    message = json.dumps({"inputs": [LATENT]}).encode()
    length = str(len(message))
    for digits, status in ((length.zfill(6000), 200), ("1" * 6000, 400), ("-1", 400), ("", 400), ("²", 400)):
        headers = {"Inference-Header-Content-Length": digits.encode()}
        answer = client.post("/v2/models/tiny.decode/infer", content=message, headers=headers)
        assert answer.status_code == status, digits[:10]


def test_a_request_for_the_index_is_small(client: httpx.Client):
    listed = client.post("/v2/repository/index", content=b" " * 4094 + b"{}").json()
    assert listed == client.post("/v2/repository/index").json()
    large = client.post("/v2/repository/index", content=b" " * 4095 + b"{}")
    assert (large.status_code, set(large.json())) == (413, {"error"})
    assert client.post("/v2/repository/index", content=b"no JSON").status_code == 400


def test_refusals_before_any_route_have_that_shape_too(client: httpx.Client):
    for path in ("/v2/nowhere", "/v2/models/tiny.decode/infer/more"):
        assert (client.get(path).status_code, set(client.get(path).json())) == (404, {"error"})
    assert set(client.get("/v2/models/tiny.decode/infer").json()) == {"error"}
    large = client.post("/v2/models/tiny.decode/infer", content=bytes(2 << 20))
    assert (large.status_code, set(large.json())) == (413, {"error"})
    longer = ask(
        client, "tiny.decode", {"inputs": [{**BINARY, "shape": [3, 4]}]}, LATENTS.tobytes() + b"more"
    )
    assert (longer.status_code, "4 bytes more" in longer.json()["error"]) == (400, True)


@pytest.mark.parametrize("workers", [1, 2])
def test_loading_needs_the_admin_key_and_statistics_count_what_all_workers_did(
    tmp_path: Path, start_service: StartService, workers: int
):
    write_tiny(tmp_path / "checkpoints", "tiny")
    (tmp_path / "key").write_text("admin-secret")
    service = start_service(workers=workers, admin_key_file=tmp_path / "key")
    admin = {"X-API-Key": "admin-secret"}
    with service.client() as client:
        assert client.post("/v2/repository/models/tiny/unload").status_code == 401
        assert client.post("/v2/repository/models/tiny.decode/unload", headers=admin).status_code == 200
        (listed,) = client.post("/v2/repository/index").json()
        assert (listed["name"], listed["state"], listed["reason"]) == (
            "tiny",
            "UNAVAILABLE",
            "it was unloaded",
        )
        assert client.post("/v2/repository/index", json={"ready": True}).json() == []
        assert client.get("/v2/models/tiny.decode/ready").status_code in (404, 503)
        assert client.post("/v2/repository/models/tiny/load", headers=admin).json() == {}
        assert client.get("/v2/models/tiny.decode/ready").status_code == 200
    for _ in range(10):
        with service.client() as client:
            assert ask(client, "tiny.decode", {"inputs": [LATENT]}).status_code == 200
            assert ask(client, "tiny.decode", {"inputs": []}).status_code == 422

    def counted() -> bool:
        (stats,) = service.get("/v2/models/tiny.decode/stats").json()["model_stats"]
        success, fail = (stats["inference_stats"][outcome] for outcome in ("success", "fail"))
        return (success["count"], fail["count"], stats["inference_count"]) == (10, 10, 30) and success[
            "ns"
        ] > 0

    wait_until(counted, "all are counted")
    assert len(service.get("/v2/models/stats").json()["model_stats"]) == 3
