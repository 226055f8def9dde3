"""The routes under /v2: what there is, whether it is well, and inference."""

import gzip
import json
from typing import Any

import numpy as np
import pytest

from support.in_process import MAX_COUNT, MAX_IMAGES, InProcess

LATENTS = {"name": "latents", "datatype": "FP32", "shape": [1, 4], "data": [0.5, 0, 0, 1]}
LENGTH = "Inference-Header-Content-Length"


def test_the_server_is_live_and_ready_and_names_its_extensions(client: InProcess):
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    for path in ("/v2", "/v2/"):
        assert "binary_tensor_data" in client.get(path).json()["extensions"]


@pytest.mark.parametrize("path", ["/v2/models/any-size.encode", "/v2/models/any-size.encode/versions/1"])
def test_metadata_has_minus_one_for_any_size(client: InProcess, path: str):
    assert client.get(path).json() == {
        "name": "any-size.encode",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "images", "datatype": "FP32", "shape": [-1, 1, -1, -1]}],
        "outputs": [{"name": "latents", "datatype": "FP32", "shape": [-1, 4]}],
    }
    assert client.get(f"{path}/ready").json() == {"name": "any-size.encode", "ready": True}


@pytest.mark.parametrize(
    ("name", "most", "dims"),
    [
        ("vae.encode", MAX_IMAGES, [1, 8, 8]),
        ("vae.decode", MAX_COUNT, [4]),
        ("cgan.generate", MAX_COUNT, [4]),
    ],
)
def test_the_configuration_has_the_largest_batch_of_a_request(
    client: InProcess, name: str, most: int, dims: list[int]
):
    found = client.get(f"/v2/models/{name}/config").json()
    assert found["max_batch_size"] == most
    first = found["input"][0]
    assert (first["data_type"], first["dims"], first["optional"]) == ("TYPE_FP32", dims, "generate" in name)
    if name == "cgan.generate":
        assert found["input"][1]["dims"] == [1]


def test_the_index_lists_what_serves(client: InProcess):
    found = client.post("/v2/repository/index").json()
    assert {"name": "vae.decode", "version": "1", "state": "READY", "reason": ""} in found
    assert client.post("/v2/repository/index", json={"ready": True}).json() == found
    assert client.post("/v2/repository/index", content=b"x").status_code == 400
    assert client.post("/v2/repository/index", content=bytes(4097)).status_code == 413


def test_statistics_are_of_one_model_or_of_all(client: InProcess):
    (one,) = client.get("/v2/models/vae.decode/stats").json()["model_stats"]
    everything = client.get("/v2/models/stats").json()["model_stats"]
    assert one["name"] in [model["name"] for model in everything]


def test_loading_needs_an_admin_key(client: InProcess):
    for verb in ("load", "unload"):
        assert client.post(f"/v2/repository/models/vae/{verb}").status_code in (401, 403)


def test_inference_answers_in_json_or_in_bytes(client: InProcess):
    body: dict[str, Any] = {"inputs": [LATENTS], "id": "7"}
    plain = client.post("/v2/models/vae.decode/infer", json=body)
    assert (plain.json()["model_name"], plain.json()["id"]) == ("vae.decode", "7")
    pixels = plain.json()["outputs"][0]["data"]
    packed = client.post(
        "/v2/models/vae.decode/versions/1/infer", json=body | {"parameters": {"binary_data_output": True}}
    )
    end = int(packed.headers[LENGTH])
    assert json.loads(packed.content[:end])["outputs"][0]["shape"] == [1, 1, 8, 8]
    np.testing.assert_allclose(np.frombuffer(packed.content[end:], "<f4"), pixels, rtol=1e-6)


def test_a_body_may_be_compressed_or_one_tensor_alone(client: InProcess):
    expected = client.post("/v2/models/vae.decode/infer", json={"inputs": [LATENTS]}).json()["outputs"]
    raw = np.array(LATENTS["data"], "<f4").tobytes()
    path = "/v2/models/vae.decode/infer"
    assert client.post(path, content=raw, headers={LENGTH: "0"}).json()["outputs"] == expected
    packed = gzip.compress(json.dumps({"inputs": [LATENTS]}).encode())
    assert (
        client.post(path, content=packed, headers={"content-encoding": "gzip"}).json()["outputs"] == expected
    )


@pytest.mark.parametrize("timeout", [0, -1, 1.5, "1", True])
def test_a_timeout_is_a_positive_number_of_microseconds(client: InProcess, timeout: Any):
    body = {"inputs": [LATENTS], "parameters": {"timeout": timeout}}
    answer = client.post("/v2/models/vae.decode/infer", json=body)
    assert (answer.status_code, list(answer.json())) == (422, ["error"])


def test_a_timeout_shortens_the_time_and_one_of_any_length_is_one(client: InProcess):
    path, body = "/v2/models/vae.decode/infer", {"inputs": [LATENTS], "parameters": {"timeout": 10**30}}
    assert client.post(path, json=body).status_code == 200
    assert client.post(path, json=body | {"parameters": {"timeout": 1}}).status_code == 504


def test_refusals_have_the_shape_of_the_protocol(client: InProcess):
    answer = client.post("/v2/models/vae.sing/infer", json={"inputs": []})
    assert answer.status_code == 404
    assert list(answer.json()) == ["error"]
