"""The log of a running service: which requests it has, and in what form."""

import json
from pathlib import Path

import pytest

from support.service_process import StartService, wait_until
from support.tiny_checkpoints import write_tiny

REQUESTS = 200


@pytest.mark.parametrize("workers", [1, 2])
def test_a_share_of_the_requests_is_logged_and_every_refusal(
    tmp_path: Path, start_service: StartService, workers: int
):
    write_tiny(tmp_path / "checkpoints", default_for=("generate",))
    service = start_service(workers=workers, log_format="json", log_requests_share=0.5)
    with service.client() as client:
        for number in range(REQUESTS):
            headers = {"X-Request-Id": f"asked-{number}"}
            assert client.post("/generate", json={"seed": number}, headers=headers).status_code == 200
        for _ in range(10):
            assert client.post("/generate", json={"seed": -1}).status_code == 422

    def told() -> list[dict[str, object]]:
        lines = [line for line in service.log().splitlines() if line.startswith("{")]
        return [one for one in map(json.loads, lines) if "status" in one]

    wait_until(lambda: sum(one["status"] == 422 for one in told()) == 10, "every refusal is logged")
    shown = [one for one in told() if one["status"] == 200]
    assert REQUESTS * 0.3 < len(shown) < REQUESTS * 0.7  # 5.7 deviations of a fair coin
    assert {one["route"] for one in shown} == {"/generate"}
    assert all(str(one["request_id"]).startswith("asked-") for one in shown)
    assert all(0 < float(str(one["milliseconds"])) < 10_000 for one in shown)


def test_a_service_logs_no_answered_request_unless_it_is_asked_to(
    tmp_path: Path, start_service: StartService
):
    write_tiny(tmp_path / "checkpoints", default_for=("generate",))
    service = start_service()
    with service.client() as client:
        assert client.post("/generate", json={"seed": 1}).status_code == 200
        assert client.post("/generate", json={"seed": -1}).status_code == 422
    wait_until(lambda: " 422 " in service.log(), "the refusal is logged")
    assert " 200 " not in service.log()
