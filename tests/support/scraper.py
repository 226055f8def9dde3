"""A real Prometheus, told what to scrape."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from support.service_process import free_port


class Scraper:
    """A Prometheus with some scrape configurations, which scrapes every second."""

    def __init__(self, program: str, folder: Path, scrape_configs: list[dict[str, Any]]) -> None:
        self.url = f"127.0.0.1:{free_port()}"
        config = folder / "prometheus.yml"
        config.write_text(
            yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": scrape_configs})
        )
        command = [program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*command, f"--web.listen-address={self.url}"], stdout=log, stderr=log
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        self.process.wait(20)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return the result of a query, nothing before Prometheus is there."""
        try:
            response = httpx.get(f"http://{self.url}/api/v1/query", params={"query": query})
        except httpx.TransportError:
            return []
        if response.status_code == 503:  # it is still starting
            return []
        answer = response.json()
        assert answer["status"] == "success", f"{query}: {answer}"
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result
