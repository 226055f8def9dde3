"""A window over live latents: off unless asked for, of all workers together, and in the metrics."""

import base64
import re
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.api import responses
from support.image_files import file, photo
from support.problem_json import check_problem
from support.service_process import ServiceProcess, StartService, wait_until
from support.tiny_checkpoints import write_tiny

CLASSES = ("a", "b")
IMAGE = base64.b64encode(file(photo(20, 20))).decode()
both = pytest.mark.parametrize("workers", [1, 2])


def start(tmp_path: Path, start_service: StartService, **settings: object) -> ServiceProcess:
    write_tiny(tmp_path / "checkpoints", "tiny", default_for=("encode",), reference=CLASSES)
    write_tiny(tmp_path / "checkpoints", "plain")
    return start_service(**settings)


def encode(service: ServiceProcess, times: int) -> None:
    """Ask on connections of their own, which the workers share among them."""
    for _ in range(times):
        with service.client() as client:
            assert client.post("/encode", json={"images": [IMAGE] * 4}).status_code == 200


def drift(service: ServiceProcess, name: str = "tiny") -> httpx.Response:
    return service.get(f"/models/{name}/drift")


def test_it_is_off_unless_asked_for(tmp_path: Path, start_service: StartService):
    service = start(tmp_path, start_service)
    encode(service, 1)
    problem = check_problem(drift(service), 409, "operation-not-offered")
    assert "LATENT_DRIFT_ROWS" in problem["detail"]


@both
def test_every_worker_answers_for_all_of_them(tmp_path: Path, start_service: StartService, workers: int):
    service = start(tmp_path, start_service, workers=workers, drift_rows=40, drift_interval_s=0.2)
    first = drift(service).json()
    responses.DriftResponse.model_validate(first)
    assert (first["images"], first["window"], first["mmd"]) == (0, 40, None)
    encode(service, 4)
    assert {drift(service).json()["images"] for _ in range(8)} == {16}
    encode(service, 20)
    answers = [drift(service).json() for _ in range(8)]
    for answer in answers:
        responses.DriftResponse.model_validate(answer)
        assert answer["images"] == 40
        assert answer["mmd_p"] < 0.01  # one image over and over is not what it was trained on
    assert np.ptp([answer["mmd"] for answer in answers]) < 1e-6
    wait_until(
        lambda: 'latent_drift_images{model="tiny"} 40.0' in service.get("/metrics").text, "the gauge follows"
    )
    gauge = re.search(r'latent_drift_mmd{model="tiny"} (\S+)', service.get("/metrics").text)
    assert gauge
    assert float(gauge[1]) == pytest.approx(answers[0]["mmd"], rel=1e-6)


def test_a_model_without_reference_has_none(tmp_path: Path, start_service: StartService):
    service = start(tmp_path, start_service, drift_rows=40)
    check_problem(drift(service, "plain"), 409, "operation-not-offered")
    check_problem(drift(service, "nothing"), 404, "unknown-model")
