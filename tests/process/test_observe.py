"""deploy/observe: a real Prometheus scrapes a service, and every query of the dashboard has an answer."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from support.scraper import Scraper
from support.service_process import ROOT, ServiceProcess, StartService, wait_until
from support.tiny_checkpoints import write_tiny

OBSERVE = ROOT / "deploy" / "observe"
DASHBOARD = json.loads((OBSERVE / "grafana/dashboards/latent-service.json").read_text())
QUERIES = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}
CLASSES = ("left", "right")


@pytest.fixture
def service(tmp_path: Path, start_service: StartService) -> ServiceProcess:
    root = tmp_path / "checkpoints"
    write_tiny(
        root, operations=("encode", "decode", "generate"), classes=CLASSES, reference=CLASSES, version=3
    )
    return start_service(workers=2, drift_rows=50, drift_interval_s=0.5)


@pytest.fixture
def scraper(prometheus: str, tmp_path: Path, service: ServiceProcess) -> Iterator[Scraper]:
    """A Prometheus with the jobs of deploy/observe, which finds the service where it is."""
    text = (OBSERVE / "prometheus.yml").read_text()
    assert "latent-service:8000" in text
    config = yaml.safe_load(text.replace("latent-service:8000", service.url.removeprefix("http://")))
    assert config["global"] == {"scrape_interval": "5s"}
    with Scraper(prometheus, tmp_path, config["scrape_configs"]) as running:
        yield running


def use(service: ServiceProcess) -> None:
    """Encode images, draw some, send a latent that overflows, ask for what there is not."""
    image = (ROOT / "docs" / "shoe.png").read_bytes()
    with service.client() as client:
        for seed in range(30):
            found = client.post("/encode", content=image, headers={"content-type": "image/png"})
            assert found.status_code == 200
            assert client.post("/generate", json={"seed": seed, "count": 4}).status_code == 200
        assert client.post("/decode", json={"latents": [[1e20, 0, 0, 0]]}).status_code == 500
        assert client.post("/generate", json={"label": "up"}).status_code == 422


def test_every_query_of_the_dashboard_has_an_answer(service: ServiceProcess, scraper: Scraper):
    assert len(QUERIES) >= 13
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, [service] * 4))
    wait_until(lambda: all(map(scraper.ask, QUERIES.values())), "every query has an answer", 40)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, [service] * 4))
    rate = "sum(rate(latent_requests_total[1m]))"
    wait_until(lambda: float(scraper.ask(rate)[0]["value"][1]) > 0, "requests are counted", 20)

    def value(query: str) -> dict[str, float]:
        label = {"Versions A": "model", "Time by phase A": "phase", "Checkpoints A": "state"}.get(query)
        found = scraper.ask(QUERIES[query])
        return {one["metric"].get(label, ""): float(one["value"][1]) for one in found}

    assert value("Versions A") == {"tiny": 3}
    assert value("Checkpoints A")["serving"] == 1
    assert set(value("Time by phase A")) == {"preprocess", "queue", "postprocess"}
    assert all(0 < seconds < 1 for seconds in value("Time by phase A").values())
    assert 50e6 < value("Memory A")[""] < 1e9
    assert 1 <= max(value("Rows per run A").values()) <= 32


def test_what_grafana_is_given_fits_together():
    """Grafana itself is not started here: its files are read as it would read them."""
    compose = (ROOT / "docker-compose.yml").read_text()
    provider = (OBSERVE / "grafana/provisioning/dashboards/latent.yml").read_text()
    source = (OBSERVE / "grafana/provisioning/datasources/prometheus.yml").read_text()
    assert "path: /var/lib/grafana/dashboards" in provider
    assert "./deploy/observe/grafana/dashboards:/var/lib/grafana/dashboards:ro" in compose
    assert "./deploy/observe/grafana/provisioning:/etc/grafana/provisioning:ro" in compose
    assert "uid: prometheus" in source
    assert "url: http://prometheus:9090" in source
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
