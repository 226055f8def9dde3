"""Refusals that need a service short of something: bytes, pixels, queue, time, or a number that fits."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from httpx import Client, Response
from PIL import Image

from support.problem_json import check_problem
from support.service_process import ServiceProcess
from support.tiny_checkpoints import write_tiny

MAX_BODY_BYTES = 20_000
SLOW_MS = 300


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    root = tmp_path_factory.mktemp("short")
    write_tiny(root / "checkpoints", "tiny", default_for=("encode", "decode"))
    write_tiny(
        root / "checkpoints", "slow", operations=("generate",), default_for=("generate",), slow_ms=SLOW_MS
    )
    limits = {
        "max_body_bytes": MAX_BODY_BYTES,
        "max_image_pixels": 100,
        "max_images": 4,
        "max_count": 4,
        "queue_rows": 4,
    }
    with ServiceProcess(root / "checkpoints", root / "log", **limits) as process, process.client() as opened:
        yield opened


def test_a_body_may_be_as_long_as_the_limit_and_no_longer(client: Client) -> None:
    for length, status in ((MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)):
        body = b'{"latents": [[0, 0, 0, 0]]}'.ljust(length)
        response = client.post("/decode", content=body, headers={"content-type": "application/json"})
        assert response.status_code == status
    check_problem(response, 413, "body-too-large")


def test_an_image_may_have_as_many_pixels_as_the_limit_and_no_more(client: Client) -> None:
    for width, status in ((10, 200), (11, 413)):
        file, array = io.BytesIO(), io.BytesIO()
        Image.new("L", (width, 10)).save(file, "PNG")
        np.save(array, np.zeros((1, 10, width), np.uint8))
        for content, kind in ((file, "image/png"), (array, "application/x-npy")):
            response = client.post("/encode", content=content.getvalue(), headers={"content-type": kind})
            assert response.status_code == status
            if status == 413:
                check_problem(response, 413, "body-too-large")


def test_a_full_queue_is_429_with_the_time_to_wait(client: Client) -> None:
    def draw(seed: int) -> Response:
        return client.post("/generate", json={"count": 4, "seed": seed})

    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(draw, range(8)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    assert len(refused) < 8
    for answer in refused:
        check_problem(answer, 429, "queue-full")
        assert int(answer.headers["retry-after"]) >= 1


def test_an_answer_that_is_late_is_504(client: Client) -> None:
    response = client.post("/generate", json={}, headers={"x-request-timeout-s": str(SLOW_MS / 10 / 1000)})
    check_problem(response, 504, "deadline-exceeded")


def test_a_number_that_overflows_in_the_model_is_500_and_no_nan(client: Client) -> None:
    response = client.post("/decode", json={"latents": [[3e38] * 4]})
    check_problem(response, 500, "inference-failed")
