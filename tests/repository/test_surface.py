"""What the service shows to the outside, and what it is made of: both equal a list that is committed."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import public_surface
from support.service_process import ROOT, ServiceProcess
from support.tiny_shipped_checkpoints import write_fashion
from tools.robustness_table import Measured

ADDRESSES = (
    "http://127.0.0.1:{port}/secret.png",
    "https://example.com/a.png",
    "file:///etc/passwd",
    "/etc/passwd",
    "../../../etc/passwd",
    "ftp://example.com/a.png",
    "data:text/plain,hello",
    "data:image/png;base64,/etc/passwd",
    "\\\\example.com\\share\\a.png",
    "gopher://example.com",
    "unix:/run/docker.sock",
    "php://filter/resource=/etc/passwd",
    "~/.ssh/id_rsa",
    "$(cat /etc/passwd)",
    "{{config}}",
)
NAMES_OF_ADDRESSES = re.compile(r"ur[il]|link|href|path|file|folder|host|address|callback|webhook", re.I)


def test_routes_methods_and_media_types_are_those_of_the_list(measured: Measured):
    listed = (ROOT / "tests" / "repository" / "surface.txt").read_text().splitlines()
    found = sorted(public_surface.lines())
    assert found == listed, (
        "if that is meant: python tests/support/public_surface.py > tests/repository/surface.txt"
    )
    measured(25, f"{len(found)} routes, all listed")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    root = tmp_path_factory.mktemp("surface")
    write_fashion(root / "checkpoints")
    with ServiceProcess(root / "checkpoints", root / "service.log", audit_files=True) as running:
        yield running


def test_no_field_is_called_like_an_address_or_declared_as_one(service: ServiceProcess):
    document = service.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    fields = {
        name: field
        for schema, described in schemas.items()
        if schema.endswith("Request")
        for name, field in described["properties"].items()
    }
    for path in document["paths"].values():
        for operation in path.values():
            fields |= {one["name"]: one["schema"] for one in operation.get("parameters", [])}
    assert len(fields) > 10
    free = [name for name, field in fields.items() if "enum" not in field]
    assert [name for name in free if NAMES_OF_ADDRESSES.search(name)] == []
    assert [name for name, field in fields.items() if "format" in field] == []


def test_an_address_in_any_field_is_refused_and_not_followed(service: ServiceProcess):
    """That nothing is connected to is checked when the service ends."""
    url = service.url
    fields: dict[str, dict[str, Any]] = {
        "/generate": {"model": "", "label": "", "labels": [""]},
        "/encode": {"model": "", "images": [""]},
        "/decode": {"model": "", "latents": [[""]]},
        "/reconstruct": {"model": "", "images": [""]},
        "/translate": {"model": "", "images": [""], "to": ""},
        "/interpolate": {"model": "", "stops": [{"image": ""}, {"image": ""}]},
        "/neighbours": {"model": "", "images": [""], "latents": [[""]]},
        "/compare": {"model": "", "a": ["", ""], "b": ["", ""]},
        "/v1/images/generations": {"prompt": ""},
        "/v1/embeddings": {"input": [""]},
    }
    before = set(service.files())
    sent = 0
    with service.client() as client:
        for address in (one.replace("{port}", url.rsplit(":", 1)[1]) for one in ADDRESSES):
            for path, found in fields.items():
                for field, shape in found.items():
                    body = {"images": [""]} if "images" in found and field != "latents" else {}
                    value = json.loads(json.dumps(shape).replace('""', json.dumps(address)))
                    answer = client.post(path, json=body | {field: value})
                    assert answer.status_code in (400, 404, 415, 422), (path, field, address)
                    assert b"root:" not in answer.content
                    sent += 1
            for query in ("model", "to", "url", "path"):
                headers = {"content-type": "image/png"}
                answer = client.post("/translate", params={query: address}, content=b"x", headers=headers)
                assert answer.status_code in (404, 415, 422)
                sent += 1
            for name in ("models", "docs/examples", "docs/assets"):
                assert client.get(f"/{name}/{address}").status_code == 404
                sent += 1
    assert sent == len(ADDRESSES) * (22 + 4 + 3)
    own = (sys.prefix, sys.base_prefix, "/proc")  # a module that is needed for the first time
    opened = set(service.files()) - before
    assert {path for path in opened if not any(path.is_relative_to(folder) for folder in own)} == set()


def test_checkpoints_of_the_repository_name_no_address(service: ServiceProcess):
    """Nothing that is served says where anything lies on the disk."""
    root = str(Path(ROOT))
    for path in ("/models", "/health/ready", "/metrics", "/openapi.json"):
        answer = service.get(path)
        assert answer.status_code == 200
        assert root not in answer.text
        assert "/tmp" not in answer.text
