"""Whether to send requests here, and how they fare."""

from pathlib import Path

import pytest

from service.api.routes.health import check_ready
from service.errors import NotReady
from support.in_process import InProcess, make_app, make_request
from support.problem_json import check_problem


def test_it_is_live_and_ready_with_what_serves(client: InProcess):
    assert client.get("/health/live").json()["status"] == "live"
    found = client.get("/health/ready").json()
    assert (found["status"], found["refused"]) == ("ready", [])
    assert "vae" in found["serving"]


def test_metrics_are_prometheus_text(client: InProcess):
    client.get("/health/live")
    found = client.get("/metrics")
    assert found.headers["content-type"].startswith("text/plain")
    assert 'latent_requests_total{method="GET",route="/health/live",status="200"}' in found.text


def test_without_models_it_lives_and_is_not_ready(tmp_path: Path):
    with InProcess(tmp_path) as client:
        check_problem(client.get("/health/ready"), 503, "not-ready")
        assert client.get("/health/live").status_code == 200


def test_on_its_way_out_it_is_not_ready_whatever_serves():
    app = make_app()
    app.state.drain.begin()
    with pytest.raises(NotReady, match="about to stop"):
        check_ready(make_request(app=app))
