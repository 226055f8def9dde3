"""Keys: who is let in, where, and that nothing tells how much of a key was right."""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from support.problem_json import check_problem

KEYS = {"api_keys": "first-key,second-key"}
PAGES = ["/", "/playground", "/playground/app.js", "/docs", "/docs/assets/swagger-ui.css"]
OPEN = ["/health/live", "/health/ready", "/openapi.json", *PAGES]
CLOSED = ["/models", "/models/vae", "/metrics", "/nowhere", "/docsx", "/health", "/health/live//"]


@asynccontextmanager
async def site(checkpoints: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(checkpoints=checkpoints, reload_interval_s=0, **settings))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
    ):
        yield client


@pytest.mark.parametrize("path", CLOSED)
async def test_without_a_key_it_is_401(checkpoints: Path, path: str):
    async with site(checkpoints, **KEYS) as client:
        answer = await client.get(path)
        check_problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", OPEN)
async def test_health_and_documentation_are_open(checkpoints: Path, path: str):
    async with site(checkpoints, **KEYS) as client:
        assert (await client.get(path)).status_code in (200, 307)


@pytest.mark.parametrize("key", ["first-key", "second-key"])
@pytest.mark.parametrize("header", ["X-API-Key: {}", "Authorization: Bearer {}", "authorization: bearer  {}"])
async def test_any_of_the_keys_opens_it(checkpoints: Path, key: str, header: str):
    name, _, value = header.format(key).partition(": ")
    async with site(checkpoints, **KEYS) as client:
        answer = await client.post("/generate", json={}, headers={name: value})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "X-API-Key: first",
        "X-API-Key: first-key,second-key",
        "X-API-Key: First-Key",
        "X-API-Key: ",
        "X-API-Key: \u00e9",
        "Authorization: first-key",
        "Authorization: Basic first-key",
        "Authorization: Bearer ",
        "Cookie: X-API-Key=first-key",
    ],
)
async def test_anything_else_does_not(checkpoints: Path, header: str):
    name, _, value = header.partition(": ")
    async with site(checkpoints, **KEYS) as client:
        check_problem(await client.get("/models", headers={name: value.encode()}), 401, "unauthorized")
        check_problem(await client.get("/models?api_key=first-key"), 401, "unauthorized")


async def test_without_keys_everything_is_open(checkpoints: Path):
    async with site(checkpoints) as client:
        assert (await client.get("/models")).status_code == 200
        assert "security" not in (await client.get("/openapi.json")).json()["paths"]["/models"]["get"]


async def test_the_admin_key_is_a_key_too(checkpoints: Path):
    async with site(checkpoints, **KEYS, admin_key="third-key") as client:
        assert (await client.get("/models", headers={"X-API-Key": "third-key"})).status_code == 200


async def statuses(client: httpx.AsyncClient, key: str) -> dict[str, int]:
    headers = {"X-API-Key": key}
    paths = ("/metrics", "/models", "/v2/models/stats")
    return {path: (await client.get(path, headers=headers)).status_code for path in paths}


async def test_the_metrics_key_opens_the_metrics_alone(checkpoints: Path):
    only_metrics = {"/metrics": 200, "/models": 401, "/v2/models/stats": 401}
    everything = dict.fromkeys(only_metrics, 200)
    async with site(checkpoints, **KEYS, admin_key="third-key", metrics_key="fourth-key") as client:
        assert await statuses(client, "fourth-key") == only_metrics
        assert await statuses(client, "first-key") == await statuses(client, "third-key") == everything
        assert await statuses(client, "guessed") == dict.fromkeys(only_metrics, 401)
    async with site(checkpoints, metrics_key="fourth-key", admin_key="third-key") as client:
        assert await statuses(client, "guessed") == everything | {"/metrics": 401}
        assert await statuses(client, "fourth-key") == await statuses(client, "third-key") == everything


async def test_every_known_key_is_compared_in_constant_time(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch
):
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return original(one, other)

    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    async with site(checkpoints, **KEYS) as client:
        for key in ("first-key", "second-key", "x"):
            await client.get("/models", headers={"X-API-Key": key})
    assert len(compared) == 3 * 2
    assert all(len(one) == len(other) == 32 for one, other in compared)


async def test_the_document_says_where_a_key_is_needed(checkpoints: Path):
    async with site(checkpoints, **KEYS) as client:
        document = (await client.get("/openapi.json")).json()
        assert document["components"]["securitySchemes"].keys() == {"bearer", "header"}
        for path, methods in document["paths"].items():
            for operation in methods.values():
                assert ("security" in operation) == (not path.startswith("/health/")), path
                assert ("401" in operation["responses"]) == ("security" in operation), path
